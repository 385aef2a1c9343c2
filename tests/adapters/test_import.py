"""An adapter from elsewhere becomes a persona of its base, or is refused with what is wrong with it."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from adapters.store import AdapterStore
from adapters.workspace import only_run
from chatbot.cli.adapter import app
from chatbot.engine.digest import adapter_folder_digest, model_digest
from tests.tiny import make_tiny_adapter


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """A folder as PEFT writes it."""
    return make_tiny_adapter(base, tmp_path_factory.mktemp("peft") / "adapter", seed=1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHATBOT_MODEL", str(base))


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore([tmp_path / "home" / "data" / "adapters"])


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["import", *(str(word) for word in words)])


def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_what_peft_wrote_is_a_persona_of_the_base_that_is_served(
    tmp_path: Path, base: Path, trained: Path, store: AdapterStore
) -> None:
    result = run(trained, "--name", "corsair", "--system", "be a corsair", "--description", "from afar")
    assert result.exit_code == 0, result.output
    adapter = store.resolve("corsair")
    assert result.stdout == f"corsair@v1 {adapter.path}\n"
    assert (adapter.system, adapter.description) == ("be a corsair", "from afar")
    assert (adapter.base_name, adapter.base_digest) == (base.name, model_digest(base))
    assert adapter.digest == adapter_folder_digest(trained)
    assert f"note: trained on {base}, says its config; it fits {base.name}" in result.stderr


def test_nothing_is_written_where_a_run_sweeps(trained: Path, tmp_path: Path) -> None:
    with only_run(tmp_path / "home" / "data" / "adapters" / "corsair"):
        result = run(trained, "--name", "corsair")
    assert result.exit_code == 2, result.output
    assert "another run trains this persona (wait for it, or use another --name)" in result.stderr


def test_another_base_has_to_be_served_first_and_one_that_transformers_does_not_know_is_told(
    base: Path, trained: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(base, tmp_path / "other"))
    served = f'try: chatbot serve --model {other}, and then: chatbot ask --persona corsair "hello"'
    assert served in run(trained, "--name", "corsair", "--base", other).stderr
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "unheard"}))
    result = run(trained, "--name", "corsair", "--base", other)
    assert result.exit_code == 2, result.output
    assert f"{other}: the model cannot be loaded: " in result.stderr


def test_what_the_config_calls_its_base_does_not_drive_the_terminal(trained: Path, tmp_path: Path) -> None:
    config = copied(trained, tmp_path) / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": "\x1b[2Ja base"}))
    assert "note: trained on [2Ja base, says its config" in run(config.parent, "--name", "corsair").stderr


def test_a_persona_of_another_machine_keeps_its_name_and_its_words(trained: Path, tmp_path: Path) -> None:
    run(trained, "--name", "corsair", "--system", "be a corsair")
    published = tmp_path / "home" / "data" / "adapters" / "corsair" / "v1"
    (published / "README.md").write_text("# corsair v1\n\nLoRA adapter\n")
    again = json.loads(run(published, "--json").stdout)
    assert (again["name"], again["version"], again["system"]) == ("corsair", 2, "be a corsair")
    other = json.loads(run(published, "--name", "flint", "--json").stdout)
    assert (other["name"], other["system"], other["digest"]) == ("flint", "be a corsair", again["digest"])
    cards = [(Path(made["path"]) / "README.md").read_text() for made in (again, other)]
    assert cards == ["# corsair v2\n\nLoRA adapter\n", "# flint v1\n\nLoRA adapter\n"]


@pytest.mark.parametrize("form", ["zip", "tar", "gztar", "xztar"])
def test_an_archive_is_read_like_the_folder_in_it(
    form: str, trained: Path, tmp_path: Path, store: AdapterStore
) -> None:
    shutil.copytree(trained, tmp_path / "root" / "out")
    shutil.copytree(trained, tmp_path / "root" / "out" / "checkpoint-5")
    file = shutil.make_archive(str(tmp_path / "packed"), form, tmp_path / "root")
    result = run(file, "--name", "corsair")
    assert result.exit_code == 0, result.output
    assert store.resolve("corsair").digest == adapter_folder_digest(trained)


def test_nothing_but_an_adapters_own_files_comes_out_of_an_archive(
    trained: Path, tmp_path: Path, store: AdapterStore
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in trained.iterdir():
            archive.write(path, path.name)
        archive.writestr("../../evil.py", "x")
        archive.writestr("evil.py", "x")
    assert run(tmp_path / "a.zip", "--name", "corsair").exit_code == 0
    assert sorted(path.name for path in store.resolve("corsair").path.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "base.json",
        "persona.toml",
    ]
    assert not list(tmp_path.rglob("evil.py"))


def test_a_link_in_an_archive_is_no_file(trained: Path, tmp_path: Path) -> None:
    copy = copied(trained, tmp_path)
    (copy / "adapter_model.safetensors").unlink()
    (copy / "adapter_model.safetensors").symlink_to(trained / "adapter_model.safetensors")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(copy, "copy")
    result = run(tmp_path / "a.tar", "--name", "corsair")
    assert result.exit_code == 2
    assert "no adapter_model.safetensors beside copy/adapter_config.json" in result.stderr


def test_links_in_a_folder_are_followed_as_those_of_a_hub_cache(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    for path in trained.iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)
    assert run(tmp_path / "snapshot", "--name", "corsair").exit_code == 0


def test_what_is_no_adapter_is_told_with_the_way_out(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    two = tmp_path / "two"
    for name in ("a", "b"):
        shutil.copytree(trained, two / name)
    pickled = copied(trained, tmp_path)
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    cut = Path(shutil.make_archive(str(tmp_path / "cut"), "gztar", trained))
    cut.write_bytes(cut.read_bytes()[:-3000])
    misnamed = Path(shutil.make_archive(str(tmp_path / "misnamed"), "zip", trained))
    with zipfile.ZipFile(misnamed, "a") as archive:
        archive.writestr("naïve", "x")
    misnamed.write_bytes(misnamed.read_bytes().replace("naïve".encode(), b"na\xff\xffve"))
    for source, said in (
        (misnamed, "misnamed.zip: the archive cannot be read: 'utf-8' codec can't decode"),
        (tmp_path / "none", "none: there is no such file or folder (give the folder that PEFT's"),
        (tmp_path / "empty", "empty: no adapter_config.json in it (give the folder that PEFT's"),
        (tmp_path / "text", "text: neither a folder nor an archive (give the folder"),
        (shutil.make_archive(str(two), "zip", two), "two.zip: several adapters in it: a, b (unpack it"),
        (pickled, "adapter_model.bin is a pickle, which can run code and is not read"),
        (cut, "cut.tar.gz: the archive cannot be read: "),
        (trained, "no persona.toml in it that has a name (give --name)"),
    ):
        words = () if source == trained else ("--name", "corsair")
        result = run(source, *words)
        assert result.exit_code == 2, result.output
        assert said in result.stderr
        assert result.stdout == ""
    assert not (tmp_path / "home" / "data" / "adapters").exists()


def test_what_the_server_would_refuse_is_refused_before_it_is_published(trained: Path, tmp_path: Path) -> None:
    copy = copied(trained, tmp_path)
    config = json.loads((copy / "adapter_config.json").read_text())

    def refused(**changes: object) -> str:
        (copy / "adapter_config.json").write_text(json.dumps(config | changes))
        result = run(copy, "--name", "corsair")
        assert result.exit_code == 2, result.output
        return result.stderr

    assert f"{copy}/adapter_config.json: use_dora = True is not supported" in refused(use_dora=True)
    assert "has shape" in refused(r=8)
    assert "unexpected tensor" in refused(target_modules=["q_proj"])
    weights = load_file(copy / "adapter_model.safetensors")
    save_file(weights | {"base_model.model.x.lora_A.weight": torch.ones(4, 4)}, copy / "adapter_model.safetensors")
    assert "the base has no linear 'x'" in refused(target_modules="all-linear")
    (copy / "base.json").write_text(json.dumps({"name": "other", "digest": "d1"}))
    assert "base.json: trained on base d1" in refused()
    assert "name another base with --base" in refused()
    (copy / "persona.toml").write_text("name = 7\n")
    assert f"{copy}/persona.toml: name" in refused()
    assert not (tmp_path / "home" / "data" / "adapters").exists()
