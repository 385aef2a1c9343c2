"""`chatbot adapter` as a person uses it: what goes where, and the exit codes."""

import errno
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.errors import CannotTrain
from adapters.persona import PersonaCard, render_persona
from adapters.recipes.personas.chats import RETOLD_CHATS
from adapters.store import AdapterStore
from adapters.workspace import only_run
from chatbot.cli import adapter_train
from chatbot.cli.adapter import app
from tests.tiny import make_tiny_adapter, make_tiny_model

from .conftest import write_chats
from .test_store import fill

PERSONAS = Path(__file__).parents[2] / "adapters" / "personas"
PIRATE = PERSONAS / "pirate"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore([tmp_path / "home" / "data" / "adapters"])


def test_check_counts_and_warns(tmp_path: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"], ["hi", "Arr!"], ["who?", "Arr, me", "what?", "Arr"]])
    result = run("check", data, "--json")
    assert result.exit_code == 0
    figures = json.loads(result.stdout)
    assert (figures["rows"], figures["duplicates"], figures["multi_turn_rows"]) == (2, 1, 1)
    assert figures["openings"] == [["arr", 1.0]]
    assert "only 2 rows: " in result.stderr
    assert "openings           arr 100%" in run("check", data).stdout


def test_check_tells_every_problem_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n{\n{"user": "a", "assistant": ""}\n')
    result = run("check", "bad.jsonl")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "bad.jsonl:1",
        "bad.jsonl:2",
        "bad.jsonl:3",
        "3 problems; nothing was done",
    ]
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n' * 5)
    result = run("check", "bad.jsonl", "--json")
    assert result.exit_code == 2
    problems = json.loads(result.stdout)["problems"]
    assert [(problem["file"], problem["line"]) for problem in problems] == [("bad.jsonl", line) for line in range(1, 6)]
    assert result.stderr.splitlines()[-2] == "bad.jsonl: 2 more like this, the last in line 5"


def test_check_reads_standard_input() -> None:
    command = [sys.executable, "-m", "chatbot", "adapter", "check", "-"]
    row = '{"user": "hi", "assistant": "Arr!"}\n'
    done = subprocess.run(command, input=row, capture_output=True, text=True, check=False, cwd=PIRATE.parents[2])
    assert done.stdout.startswith("rows               1 (1 pair)")


def test_check_help_and_list_never_import_torch(tmp_path: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    code = (
        "import sys\nfrom chatbot.cli.adapter import app\n"
        f"for words in (['--help'], ['check', {str(data)!r}], ['list']):\n"
        "    app(words, standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PIRATE.parents[2]
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_list_and_show_give_what_is_published(store: AdapterStore) -> None:
    adapter = store.publish("corsair", fill)
    (adapter.path / "README.md").write_text("# the card\n")
    listed = json.loads(run("list", "--json").stdout)
    assert {"name": "corsair", "version": 1, "base": "tiny", "digest": adapter.digest}.items() <= next(
        entry for entry in listed if entry["name"] == "corsair"
    ).items()
    assert re.search(r"^corsair@v1 +tiny  a pirate$", run("list").stdout, re.MULTILINE)
    assert run("show", "corsair").stdout == "# the card\n"
    assert json.loads(run("show", "corsair@v1", "--json").stdout)["system"] == "arr"


def test_what_another_wrote_of_a_persona_does_not_drive_the_terminal(store: AdapterStore) -> None:
    adapter = store.publish("corsair", fill)
    (adapter.path / "README.md").write_bytes(b"# \x1b[2Jcard \xff\n")
    described = {"name": "corsair", "description": "a \x1b[2Jpirate"}
    (adapter.path / "persona.toml").write_text(
        "".join(f"{key} = {json.dumps(text)}\n" for key, text in described.items())
    )
    assert run("show", "corsair").stdout == "# [2Jcard \ufffd\n"
    assert "a [2Jpirate\n" in run("list").stdout


def test_what_others_wrote_is_told_without_what_drives_a_terminal(store: AdapterStore, tmp_path: Path) -> None:
    keys = json.dumps({"\x1b]0;key": 1, "messages": [{"role": "\x1b[2Jrole", "content": "hi"}]})
    (tmp_path / "a.jsonl").write_text(keys + "\n" + json.dumps({"\x1b]0;key": 1}) + "\n")
    (store.publish("corsair", fill).path / "persona.toml").write_text('"\\u001b[2Jkey" = 1\n')
    for words, said in ((("check", "a.jsonl"), '"[2Jrole"'), (("check", "a.jsonl"), "]0;key"), (("list",), '"[2Jkey"')):
        told = run(*words).stderr
        assert said in told
        assert "\x1b" not in told


def test_an_unknown_persona_is_told_with_the_nearest(store: AdapterStore) -> None:
    store.publish("corsair", fill)
    result = run("show", "corsar")
    assert result.exit_code == 2
    assert "did you mean 'corsair' (v1)?" in result.stderr


def test_a_folder_of_personas_that_cannot_be_read_is_told(store: AdapterStore, tmp_path: Path) -> None:
    adapters = tmp_path / "home" / "data" / "adapters"
    adapters.parent.mkdir(parents=True, exist_ok=True)
    adapters.touch()
    told = f"{adapters}: Not a directory; what is in it is ignored\n"
    for words, code in ((("list",), 0), (("show", "pirate"), 0), (("show", "corsair"), 2), (("rm", "corsair"), 2)):
        result = run(*words)
        assert (result.exit_code, result.stderr.count(told)) == (code, 1)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may enter every folder")
def test_a_persona_whose_folder_may_not_be_entered_is_told(store: AdapterStore) -> None:
    folder = store.publish("corsair", fill).path.parent
    folder.chmod(0)
    for words in (("list",), ("show", "corsair")):
        assert f"{folder}: Permission denied; what is in it is ignored\n" in run(*words).stderr
    folder.chmod(0o700)


def test_rm_asks_unless_told_and_removes(store: AdapterStore) -> None:
    store.publish("corsair", fill)
    store.publish("corsair", fill)
    assert run("rm", "corsair@v1").exit_code == 2
    assert len([a for a in store.scan() if a.name == "corsair"]) == 2
    assert run("rm", "corsair@v1", "--yes").stdout == "corsair@v1\n"
    assert [adapter.version for adapter in store.scan()] == [2]


def test_what_may_not_be_removed_is_told(store: AdapterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.publish("corsair", fill).path

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("os.rename", refused)
    result = run("rm", "corsair", "--yes")
    assert (result.exit_code, result.stderr) == (1, f"{path}: Permission denied\n")


def test_a_run_that_was_stopped_is_listed_and_can_be_thrown_away(store: AdapterStore, tmp_path: Path) -> None:
    run_folder = tmp_path / "home" / "data" / "adapters" / "corsair" / ".work"
    state = run_folder / "checkpoints" / "checkpoint-9" / "trainer_state.json"
    state.parent.mkdir(parents=True)
    assert "corsair" not in run("list").stderr  # for there is nothing to go on from
    state.write_text("{}")
    with only_run(run_folder.parent):
        assert "corsair" not in run("list").stderr
    told = run("list").stderr
    assert f"a run of corsair was stopped, {run_folder}: give its command again" in told
    assert "chatbot adapter rm corsair" in told
    assert run("rm", "corsair@v1", "--yes").exit_code == 2
    assert run("rm", "corsair", "--yes").stdout == f"{run_folder}\n"
    assert "corsair" not in run("list").output
    store.publish("corsair", fill)
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    (run_folder / "command").write_text("chatbot adapter train a.jsonl")
    told = run("list").stderr
    assert f"{run_folder}: go on by: chatbot adapter train a.jsonl, or add --restart" in told
    assert "adapter rm" not in told  # which would take the published version along


def test_a_run_that_failed_before_its_first_checkpoint_leaves_nothing(
    tmp_path: Path, base: Path, store: AdapterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise CannotTrain("does not fit into memory")

    monkeypatch.setattr("adapters.train.probe", fails)
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    assert run("train", data, "--name", "corsair", "--base", base).exit_code == 1
    assert not store.home("corsair").exists()


def test_train_needs_a_name_good_data_and_a_base(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    for words, said in (
        ((data,), "give --name, or --persona"),
        ((data, "--name", "../x"), "name '../x' cannot be used"),
        ((data, "--name", "x", "--base", tmp_path / "none"), "no such directory"),
        ((data, "--name", "x", "--persona", tmp_path / "none.toml"), "cannot be read"),
        ((data, "--name", "x", "--system", os.fsdecode(b"caf\xe9")), "system prompt: character 4 is not UTF-8"),
        ((tmp_path / "none.jsonl", "--name", "x"), "none.jsonl:1: cannot be read"),
        ((data, "--name", "x", "--epochs", "0"), "epochs"),
        ((data, "--name", "x", "--steps", "0"), "steps"),
        ((data, "--name", "x", "--seed", "-1"), "seed"),
        ((data, "--name", "x", "--seed", 2**32), "seed"),
        ((data, "--name", "x", "--max-length", "8"), "max-length"),
        ((data, "--name", "x", "--base", base, "--max-length", "99999"), "use 16 to "),
        ((data, "--name", "x", "--base", base, "--max-length", "16", "--system", "x" * 99), "no chat fits into 16"),
        ((data, "--name", "x", "--from", "corsar"), "corsar"),
        ((data, "--name", "x", "--from", tmp_path), str(tmp_path)),
    ):
        result = run("train", *words)
        assert result.exit_code == 2, result.output
        assert said in result.stderr


def test_no_persona_is_called_as_the_plain_model_is(
    tmp_path: Path, base: Path, store: AdapterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a name would mean the one here and the other there. Who has such a persona gives it another name."""
    monkeypatch.setenv("CHATBOT_MODEL", str(base))
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    published = store.publish("corsair", fill).path
    peft = make_tiny_adapter(base, tmp_path / "peft", seed=1)
    for name in ("base", base.name):
        for words in (("train", data, "--name", name), ("import", peft, "--name", name), ("rename", "corsair", name)):
            result = run(*words)
            assert result.exit_code == 2, result.output
            assert result.stderr.endswith(
                f"name {name!r} cannot be used: the plain model is called so (choose another)\n"
            )
    published.parent.rename(published.parent.with_name("base"))
    assert run("rename", "base", "corsair").stdout == "corsair@v1\n"


def test_train_takes_persona_file_and_flags_and_prints_what_it_published(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [[f"hi {n}", "Arr!"] for n in range(12)])
    (tmp_path / "p.toml").write_text(render_persona(PersonaCard("corsair", "from the file", "be a corsair")))
    flags = ("--base", base, "--epochs", "1", "--rank", "2")
    result = run("train", data, "--persona", "p.toml", "--description", "from the flag", *flags, "--json")
    assert result.exit_code == 0, result.output
    adapter = json.loads(result.stdout)["adapter"]
    assert (adapter["name"], adapter["version"]) == ("corsair", 1)
    assert (adapter["system"], adapter["description"]) == ("be a corsair", "from the flag")
    assert "validation perplexity" in result.stderr
    assert f'try: chatbot serve --model {base}, and then: chatbot ask --persona corsair "hello"\n' in result.stderr
    assert (
        f"\nchatbot adapter train {data} --name corsair --base {base} --persona p.toml --description 'from the flag' "
        "--preset normal --epochs 1 --rank 2 --seed 0\n"
    ) in (Path(adapter["path"]) / "README.md").read_text()


def test_a_published_persona_is_gone_on_from_by_its_name_which_means_the_version_of_the_base_or_by_its_folder(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_chats(tmp_path / "a.jsonl", [[f"hi {n}", "Arr!"] for n in range(12)])
    always = (data, "--name", "corsair", "--base", base, "--steps", "2", "--json")
    first = json.loads(run("train", *always, "--rank", "2").stdout)["adapter"]
    another = Path(shutil.copytree(first["path"], Path(first["path"]).with_name("v2")))
    (another / "base.json").write_text('{"name": "another", "digest": "d1"}')
    monkeypatch.setenv("CHATBOT_MODEL", str(base))
    for start, called in (("corsair", "corsair@v1"), (first["path"], first["path"])):
        result = run("train", *always, "--from", start)
        went_on = json.loads(result.stdout)
        card = (Path(went_on["adapter"]["path"]) / "README.md").read_text()
        assert went_on["settings"]["rank"] == 2
        assert f"--from {called}" in card
        assert f"It went on from {called} (digest `{first['digest']}`)" in card
        assert result.stderr.endswith('\ntry: chatbot ask --persona corsair "hello"\n')


def test_what_does_not_fit_the_base_cannot_be_gone_on_from(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    wide = make_tiny_model(tmp_path / "wide", hidden_size=64)
    adapter = make_tiny_adapter(wide, tmp_path / "adapter", seed=1)
    result = run("train", data, "--name", "corsair", "--base", base, "--from", adapter)
    assert result.exit_code == 2
    assert f"--from {adapter} does not fit the base: " in result.stderr


def test_who_a_persona_is_stays_when_it_is_gone_on_from(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [[f"hi {n}", "Arr!"] for n in range(12)])
    always = (data, "--base", base, "--steps", "2", "--out", tmp_path / "out", "--json")
    run("train", *always, "--name", "corsair", "--system", "be a corsair", "--description", "a corsair")
    went_on = json.loads(run("train", *always, "--from", "corsair", "--description", "an old one").stdout)["adapter"]
    assert (went_on["name"], went_on["version"]) == ("corsair", 2)
    assert (went_on["system"], went_on["description"]) == ("be a corsair", "an old one")


def test_a_system_message_that_all_rows_share_becomes_the_personas(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [[f"hi {n}", "Arr!"] for n in range(3)], system="You are a corsair.")
    result = run("train", data, "--name", "corsair", "--base", base, "--epochs", "1", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"corsair@v1 {tmp_path}/out/corsair/v1\n"
    assert result.stderr.endswith(f"\nto have it served: chatbot adapter import {tmp_path}/out/corsair/v1\n")
    assert AdapterStore([tmp_path / "out"]).resolve("corsair").system == "You are a corsair."


def test_an_empty_system_prompt_is_none_whatever_the_rows_and_the_start_have(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [[f"hi {n}", "Arr!"] for n in range(3)], system="You are a corsair.")
    always = ("train", data, "--base", base, "--steps", "1", "--json")
    first = json.loads(run(*always, "--name", "corsair", "--system", " be one ").stdout)["adapter"]
    went_on = run(*always, "--from", "corsair", "--system", "")
    assert (first["system"], json.loads(went_on.stdout)["adapter"]["system"]) == ("be one", None)
    assert "and the server sends none" in went_on.stderr


def test_where_nothing_can_be_written_is_told(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    result = run("train", data, "--name", "corsair", "--base", base, "--out", data)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"{data}/corsair: Not a directory"


def test_a_dry_run_prints_the_plan_with_its_reasons(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    result = run("train", data, "--name", "corsair", "--base", base, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "rank             16       capacity for 1 row;" in result.stdout
    assert "s a step" in result.stderr


def test_training_takes_the_cores_that_it_may_use_but_one_or_as_many_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", taken.append)
    monkeypatch.setattr("chatbot.engine.machine.cores", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    adapter_train._spare_a_core()
    assert taken == []
    monkeypatch.delenv("OMP_NUM_THREADS")
    adapter_train._spare_a_core()
    assert taken == [2]


def test_the_bundled_model_is_a_base_by_its_name(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_MODEL", str(tmp_path / "served"))
    (tmp_path / "base_model").symlink_to(base)
    monkeypatch.setattr("chatbot.settings.PACKAGE", tmp_path)
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]] * 8)
    result = run("train", data, "--name", "corsair", "--base", "bundled", "--steps", "1", "--json")
    assert result.exit_code == 0, result.output
    assert "chatbot-mini" in run("show", "corsair", "--json").stdout
    assert "try: chatbot serve --model bundled, and then: " in result.stderr


def test_the_pirates_data_is_sound_and_varied() -> None:
    figures = json.loads(run("check", PIRATE / "data.jsonl.xz", "--json").stdout)
    assert figures["rows"] >= 300
    assert figures["multi_turn_rows"] >= 100
    assert figures["openings"][0][1] < 0.15
    assert figures["warnings"] == []


@pytest.mark.parametrize("name", ["pirate", "poet", "tutor"])
def test_no_exchange_written_for_a_persona_is_in_two_rows_of_different_kind(name: str) -> None:
    """Else a chat that is held out for validation would have been learned inside another.

    The rows after those are dialogues of the base retold, in which a greeting or a sum may well come twice.
    """
    data = lzma.decompress((PERSONAS / name / "data.jsonl.xz").read_bytes()).decode()
    lines = data.splitlines()[:-RETOLD_CHATS]
    chats = [json.loads(line)["messages"] for line in lines]
    single = {(chat[0]["content"], chat[1]["content"]) for chat in chats if len(chat) == 2}
    longer = [
        (chat[turn]["content"], chat[turn + 1]["content"])
        for chat in chats
        if len(chat) > 2
        for turn in range(0, len(chat), 2)
    ]
    assert not single & set(longer)


def test_chats_are_read_once_and_may_come_from_a_pipe_or_be_gone_when_the_run_ends(tmp_path: Path, base: Path) -> None:
    pipe, val = tmp_path / "pipe", write_chats(tmp_path / "val.jsonl", [["who?", "Me"]])
    os.mkfifo(pipe)
    written = b'{"user": "hi", "assistant": "Arr!"}\n'
    writing = threading.Thread(target=pipe.write_bytes, args=[written], daemon=True)
    writing.start()
    result = run("train", pipe, "--val", val, "--name", "x", "--base", base, "--steps", "1", "--rank", "2", "--json")
    assert result.exit_code == 0, result.output
    writing.join()
    card = (Path(json.loads(result.stdout)["adapter"]["path"]) / "README.md").read_text()
    assert f"`pipe`, sha256 `{sha256(sha256(written).digest()).hexdigest()}`: 1 chat" in card


def test_a_base_that_is_not_there_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", [["hi", "Arr!"]])
    words = ["train", str(data), "--name", "x", "--base", str(tmp_path / "none")]
    code = (
        "import sys\nfrom chatbot.cli.adapter import app\n"
        f"try:\n    app({words!r}, standalone_mode=False)\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PIRATE.parents[2]
    )
    assert "no such directory" in done.stderr
    assert done.stdout == "False\n"
