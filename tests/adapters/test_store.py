"""Versions appear whole or not at all, and nothing that lies around breaks the scan."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapters import published
from adapters.errors import AdapterNotFound, BadPersona, CannotTrain
from adapters.persona import PersonaCard, read_persona, render_persona
from adapters.store import AdapterStore
from adapters.workspace import only_run
from chatbot.engine.digest import adapter_folder_digest

from .test_persona import HOSTILE


def fill(folder: Path, version: int, *, system: str = "arr") -> None:
    (folder / "adapter_config.json").write_text("{}")
    save_file({"weights": np.full(8, version)}, folder / "adapter_model.safetensors")
    (folder / "base.json").write_text(json.dumps({"name": "tiny", "digest": "d1"}))
    (folder / "persona.toml").write_text(render_persona(PersonaCard("pirate", "a pirate", system, {"top_p": 0.5})))


def test_a_published_version_is_found_with_all_it_says(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    adapter = store.publish("pirate", fill)
    assert store.scan() == [adapter]
    assert adapter.path == tmp_path / "pirate" / "v1"
    assert (adapter.name, adapter.version, adapter.reference) == ("pirate", 1, "pirate@v1")
    assert (adapter.system, adapter.description, adapter.sampling) == ("arr", "a pirate", {"top_p": 0.5})
    assert (adapter.base_name, adapter.base_digest) == ("tiny", "d1")
    assert adapter.digest == adapter_folder_digest(adapter.path)


def test_the_newest_version_is_meant_unless_one_is_named(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    for _ in range(11):
        store.publish("pirate", fill)
    assert store.resolve("pirate").version == 11
    assert store.resolve("pirate@v2").version == 2
    assert store.resolve("pirate", base_digest="d1").version == 11
    with pytest.raises(AdapterNotFound):
        store.resolve("pirate", base_digest="d2")


def test_versions_are_numbered_over_all_roots_and_only_the_first_is_written(tmp_path: Path) -> None:
    AdapterStore([tmp_path / "bundled"]).publish("pirate", fill)
    store = AdapterStore([tmp_path / "own", tmp_path / "bundled"])
    assert store.publish("pirate", fill).path == tmp_path / "own" / "pirate" / "v2"
    assert [adapter.version for adapter in store.scan()] == [1, 2]


def test_an_unknown_name_gets_the_nearest_one_said(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    with pytest.raises(AdapterNotFound, match="none is published"):
        store.resolve("pirate")
    store.publish("pirate", fill)
    with pytest.raises(AdapterNotFound, match=r"'pirat'; did you mean 'pirate' \(v1\)\?"):
        store.resolve("pirat")
    with pytest.raises(AdapterNotFound, match=r"'pirate@v9'; did you mean 'pirate' \(v1\)\?"):
        store.resolve("pirate@v9")
    with pytest.raises(AdapterNotFound, match="there are pirate"):
        store.resolve("zzzzz")


@pytest.mark.parametrize("name", [*HOSTILE, "pirate@v0", "pirate@v-1", "pirate@v1x", "pirate@", "pirate@v1/.."])
def test_a_hostile_name_finds_nothing_and_is_never_published(tmp_path: Path, name: str) -> None:
    store = AdapterStore([tmp_path / "root"])
    with pytest.raises(AdapterNotFound):
        store.resolve(name)
    with pytest.raises(BadPersona):
        store.publish(name, fill)
    assert list(tmp_path.iterdir()) == []


def test_a_fill_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fails(folder: Path, version: int) -> None:
        fill(folder, version)
        raise RuntimeError("disk full")

    store = AdapterStore([tmp_path])
    with pytest.raises(RuntimeError, match="disk full"):
        store.publish("pirate", fails)
    assert store.scan() == []
    assert list((tmp_path / "pirate").iterdir()) == []


def test_an_incomplete_folder_is_not_published(tmp_path: Path) -> None:
    def half(folder: Path, version: int) -> None:
        fill(folder, version)
        (folder / "adapter_model.safetensors").unlink()

    store = AdapterStore([tmp_path])
    with pytest.raises(BadPersona, match=r"adapter_model\.safetensors: No such file"):
        store.publish("pirate", half)
    assert store.scan() == []


def test_nothing_that_lies_around_breaks_the_scan(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path, tmp_path / "missing"])
    good = store.publish("pirate", fill)
    for leaf in (".v2.17.tmp", "v3", "v4", "v5", "v6", "v7", "v0", "v01", "latest", "vx"):
        (tmp_path / "pirate" / leaf).mkdir()
    fill(tmp_path / "pirate" / ".v2.17.tmp", 2)
    fill(tmp_path / "pirate" / "v4", 4)
    (tmp_path / "pirate" / "v4" / "persona.toml").write_text("name =")
    fill(tmp_path / "pirate" / "v5", 5)
    (tmp_path / "pirate" / "v5" / "base.json").write_text("[" * 10_000)
    fill(tmp_path / "pirate" / "v6", 6)
    (tmp_path / "pirate" / "v6" / "persona.toml").write_text("name = " + "[" * 10_000)
    fill(tmp_path / "pirate" / "v7", 7)
    (tmp_path / "pirate" / "v7" / "adapter_config.json").write_text('{"r": 1')
    (tmp_path / "Pirate").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "pirate" / "data.jsonl").write_text("x")
    (tmp_path / "linked").symlink_to(tmp_path / "pirate")
    assert store.scan() == [good]
    told = [problem.removeprefix(f"{tmp_path}/pirate/").partition(":")[0] for problem in store.problems]
    files = ("adapter_model.safetensors", "persona.toml", "base.json", "persona.toml", "adapter_config.json")
    assert told == [f"v{number}/{file}" for number, file in enumerate(files, 3)]


def test_weights_that_were_cut_off_do_not_hide_the_version_before(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    good = store.publish("pirate", fill)
    weights = store.publish("pirate", fill).path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert store.resolve("pirate") == good
    assert "v2/adapter_model.safetensors: not whole safetensors" in store.problems[0]
    assert store.problems[0].endswith("; the version is ignored (chatbot adapter rm pirate@v2 removes it)")
    assert store.remove("pirate@v2") == ["pirate@v2"]
    assert (store.scan(), store.problems) == ([good], ())
    (good.path / "persona.toml").write_text("name =")
    assert store.remove("pirate") == ["pirate@v1"]
    assert list(tmp_path.iterdir()) == []


def test_a_second_scan_reads_nothing_and_a_changed_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = AdapterStore([tmp_path])
    first = store.publish("pirate", fill)
    reads: list[Path] = []

    def noted(folder: Path) -> str:
        reads.append(folder)
        return adapter_folder_digest(folder)

    monkeypatch.setattr(published, "adapter_folder_digest", noted)
    store.scan()
    assert reads == []
    save_file({"weights": np.zeros(8)}, first.path / "adapter_model.safetensors")
    assert store.scan()[0].digest != first.digest
    assert reads == [first.path]


def test_two_publishers_get_two_versions(tmp_path: Path) -> None:
    """Both have chosen the same number before either renames."""
    meet = threading.Barrier(2, timeout=10)
    waited = threading.local()

    def slow(folder: Path, version: int) -> None:
        fill(folder, version)
        if not hasattr(waited, "done"):
            waited.done = True
            meet.wait()

    stores = [AdapterStore([tmp_path]) for _ in range(2)]
    found: list[int] = []
    threads = [threading.Thread(target=lambda s=s: found.append(s.publish("pirate", slow).version)) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found) == [1, 2]


def test_a_number_that_something_else_has_is_passed_over(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    (tmp_path / "pirate").mkdir()
    (tmp_path / "pirate" / "v1").symlink_to(tmp_path / "none")
    (tmp_path / "pirate" / "v2").write_text("x")
    (tmp_path / "pirate" / ".highest").write_text("9999999999\n")
    assert [store.publish("pirate", fill).version for _ in range(2)] == [3, 4]


def test_a_persona_whose_folder_is_a_link_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path / "own"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "pirate").symlink_to(tmp_path / "elsewhere")
    for ask in (lambda: store.home("pirate"), lambda: store.publish("pirate", fill)):
        with pytest.raises(BadPersona, match="own/pirate: expected a folder, but this is a link"):
            ask()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_removing_takes_one_version_or_all_and_never_those_that_ship(tmp_path: Path) -> None:
    AdapterStore([tmp_path / "bundled"]).publish("pirate", fill)
    store = AdapterStore([tmp_path / "own", tmp_path / "bundled"])
    for _ in range(3):
        store.publish("pirate", fill)
    assert store.remove("pirate@v3") == ["pirate@v3"]
    assert store.remove("pirate") == ["pirate@v2", "pirate@v4"]
    assert list((tmp_path / "own").iterdir()) == []
    assert [adapter.version for adapter in store.scan()] == [1]
    with pytest.raises(BadPersona, match="ships with the program"):
        store.remove("pirate@v1")


def test_no_version_gets_the_number_of_one_that_was_removed_while_the_persona_lasts(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    for _ in range(3):
        store.publish("pirate", fill)
    store.remove("pirate@v3")
    store.remove("pirate@v1")
    assert store.resolve("pirate").version == 2
    store.rename("pirate", "flint")
    assert store.publish("flint", fill).version == 4
    for version in (2, 4):
        store.remove(f"flint@v{version}")
    assert list(tmp_path.iterdir()) == []
    assert store.publish("flint", fill).version == 1


def test_what_a_killed_process_left_half_done_goes_with_the_persona_unless_somebody_trains_it(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    store.publish("pirate", fill)
    store.publish("pirate", fill)
    half = tmp_path / "pirate" / f".v3.{'0' * 32}.tmp"
    half.mkdir()
    fill(half, 3)
    (tmp_path / "pirate" / ".work").mkdir()
    with only_run(tmp_path / "pirate"):
        store.remove("pirate@v2")
        assert half.exists()
        store.remove("pirate")
        assert store.stopped_run("pirate") == tmp_path / "pirate" / ".work"
        with pytest.raises(CannotTrain, match="another run trains this persona"):
            store.remove("pirate")
    assert store.remove("pirate") == []
    assert list(tmp_path.iterdir()) == []


def test_one_version_goes_without_the_run_that_makes_the_next(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    store.publish("pirate", fill)
    (tmp_path / "pirate" / ".work").mkdir()
    store.remove("pirate@v1")
    assert store.stopped_run("pirate")


def test_a_persona_gets_another_name_with_all_its_versions(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path / "own", tmp_path / "shipped"])
    AdapterStore([tmp_path / "shipped"]).publish("poet", fill)
    before = [store.publish("pirate", fill) for _ in range(2)]
    cards = [adapter.path / "README.md" for adapter in before]
    cards[0].write_bytes(b"# pirate v1\n\na pirate \xff\n")
    cards[1].write_text("# Model card of a pirate\n")
    after = store.rename("pirate", "flint")
    assert (after[0].path / "README.md").read_bytes() == b"# flint v1\n\na pirate \xff\n"
    assert (after[1].path / "README.md").read_text() == "# Model card of a pirate\n"
    assert [adapter.reference for adapter in after] == ["flint@v1", "flint@v2"]
    assert [adapter.digest for adapter in after] == [adapter.digest for adapter in before]
    assert read_persona(after[0].path / "persona.toml").name == "flint"
    assert not (tmp_path / "own" / "pirate").exists()
    for name, new, said in (
        ("flint", "poet", "a poet already"),
        ("poet", "x", "ships with"),
        ("flint", "A b", "'A b'"),
    ):
        with pytest.raises(BadPersona, match=said):
            store.rename(name, new)
    with pytest.raises(AdapterNotFound):
        store.rename("pirate", "x")


def test_a_persona_keeps_its_name_while_a_run_of_it_has_not_ended(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    store.publish("pirate", fill)
    with only_run(tmp_path / "pirate"), pytest.raises(CannotTrain, match="another run"):
        store.rename("pirate", "flint")
    checkpoint = tmp_path / "pirate" / ".work" / "checkpoints" / "checkpoint-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text("{}")
    with pytest.raises(BadPersona, match="a run of pirate has not ended"):
        store.rename("pirate", "flint")
    assert store.resolve("pirate")


def test_a_run_that_was_killed_before_its_first_checkpoint_is_not_in_the_way_of_a_name(tmp_path: Path) -> None:
    store = AdapterStore([tmp_path])
    store.publish("pirate", fill)
    for name in ("pirate", "flint"):
        (tmp_path / name / ".work" / "checkpoints").mkdir(parents=True)
    assert [adapter.reference for adapter in store.rename("pirate", "flint")] == ["flint@v1"]
    assert store.stopped_run("flint") is None
