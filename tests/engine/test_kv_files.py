"""Files stay within their limit, are found by tokens and adapter, and are never trusted."""

import errno
import logging
import os
import resource
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.engine.kv_entry import KVEntry, KVKind
from chatbot.engine.kv_files import SPARE_BYTES, KVFiles
from chatbot.engine.kv_format import write_kv
from chatbot.engine.kv_owner import owner_of, remove_files
from tests.engine.kept import BYTES_PER_TOKEN, KIND, is_same, kept
from tests.examples import examples

OTHER = replace(KIND, base="c" * 64)
ROOM = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kv"


def _open(folder: Path, limit_bytes: int = ROOM, kind: KVKind = KIND) -> KVFiles:
    return KVFiles(folder, kind, limit_bytes)


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_what_was_written_is_found_by_its_tokens_also_by_who_opens_the_folder_later(folder: Path) -> None:
    entry = kept("s", [1, 2, 3, 4])
    files = _open(folder)
    files.write(entry)
    for seen in (files, _open(folder)):
        file, length = seen.best([1, 2, 3, 9], None)
        assert file is not None
        assert length == 3
        assert is_same(seen.read(file), entry)


def test_only_the_owner_can_look_into_the_folder(folder: Path) -> None:
    _open(folder).write(kept("s", [1, 2]))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]


def test_conversation_ids_are_not_in_the_folder(folder: Path) -> None:
    _open(folder).write(kept("conv_secret", [1, 2]))
    (path,) = folder.iterdir()
    assert "secret" not in path.name
    assert b"secret" not in path.read_bytes()


def test_kv_of_another_adapter_is_not_found(folder: Path) -> None:
    files = _open(folder)
    files.write(kept("s", [1, 2, 3], "pirate"))
    assert files.best([1, 2, 3], None) == (None, 0)
    assert files.best([1, 2, 3], "poet") == (None, 0)
    assert files.best([1, 2, 3], "pirate")[1] == 3


def test_of_files_that_have_as_much_the_shortest_is_read(folder: Path) -> None:
    files = _open(folder)
    short = kept("short", [1, 2, 3])
    for entry in (kept("long", [1, 2, 3, 4, 5]), short, kept("longer", [1, 2, 3, 4, 5, 6])):
        files.write(entry)
    file, length = files.best([1, 2, 3, 9], None)
    assert file is not None
    assert (file.tokens, length) == (short.tokens, 3)


def test_a_conversation_has_one_file_for_each_adapter_and_the_latest_counts(folder: Path) -> None:
    files = _open(folder)
    for entry in (kept("s", [1, 2]), kept("s", [1, 2, 3]), kept("s", [1, 2], "pirate")):
        files.write(entry)
    assert len(list(folder.iterdir())) == 2
    assert files.best([1, 2, 3], None)[1] == 3


def test_what_is_in_a_file_already_is_not_written_again(folder: Path) -> None:
    files = _open(folder)
    first = kept("s", [1, 2], used_at=10.0)
    files.write(first)
    files.write(kept("s", [1, 2], used_at=20.0))
    (path,) = folder.iterdir()
    assert path.stat().st_mtime == 20.0
    file, _ = files.best([1, 2], None)
    assert file is not None
    assert is_same(files.read(file), first)


def test_the_file_used_longest_ago_goes_first(folder: Path) -> None:
    entries = [kept(name, [number] * 30, used_at=1000.0 + number) for number, name in enumerate("abc")]
    files = _open(folder, 100 * BYTES_PER_TOKEN)
    for entry in entries[:2]:
        files.write(entry)
    file, _ = files.best(entries[0].tokens, None)
    assert file is not None
    files.read(file)
    files.write(entries[2])
    assert [files.best(entry.tokens, None)[1] for entry in entries] == [30, 0, 30]


def test_what_is_larger_than_the_limit_is_not_written_and_nothing_goes_for_it(folder: Path) -> None:
    files = _open(folder, 60 * BYTES_PER_TOKEN)
    files.write(kept("small", [1] * 10))
    files.write(kept("large", [2] * 60))
    assert files.best([1] * 10, None)[1] == 10
    assert files.best([2] * 60, None)[1] == 0


def test_a_smaller_limit_is_kept_from_the_start(folder: Path) -> None:
    for name in "abcd":
        _open(folder).write(kept(name, [ord(name)] * 10, used_at=float(ord(name))))
    files = _open(folder, _size_bytes(folder) // 2)
    assert [files.best([ord(name)] * 10, None)[1] for name in "abcd"] == [0, 0, 10, 10]
    _open(folder, 0)
    assert list(folder.iterdir()) == []


def test_files_of_another_model_are_left_alone_with_one_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = kept("s", [1, 2, 3], kind=OTHER)
    _open(folder, kind=OTHER).write(theirs)
    files = _open(folder)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert files.best([1, 2, 3], None) == (None, 0)
    files.write(kept("s", [1, 2, 3]))
    again = _open(folder, kind=OTHER)
    file, _ = again.best([1, 2, 3], None)
    assert file is not None
    assert is_same(again.read(file), theirs)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _rename(path: Path) -> None:
    path.rename(path.with_name("0" * 32 + path.name[32:]))


@pytest.mark.parametrize("spoil", [_cut, _empty, _rename])
def test_broken_files_are_removed_at_the_start_with_one_warning(
    folder: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    _open(folder).write(kept("s", [1, 2, 3]))
    (path,) = folder.iterdir()
    spoil(path)
    files = _open(folder)
    assert files.best([1, 2, 3], None) == (None, 0)
    assert list(folder.iterdir()) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("spoil", [_cut, _empty, _flip])
def test_a_file_that_breaks_later_is_removed_with_one_warning_when_it_is_read(
    folder: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    files = _open(folder)
    files.write(kept("s", [1, 2, 3]))
    file, _ = files.best([1, 2, 3], None)
    assert file is not None
    spoil(file.path)
    assert files.read(file) is None
    assert files.best([1, 2, 3], None) == (None, 0)
    assert list(folder.iterdir()) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_file_of_another_conversation_under_the_name_is_not_taken(folder: Path) -> None:
    files = _open(folder)
    files.write(kept("a", [1, 2, 3]))
    files.write(kept("b", [1, 2, 4]))
    file, _ = files.best([1, 2, 3], None)
    other, _ = files.best([1, 2, 4], None)
    assert file is not None
    assert other is not None
    other.path.replace(file.path)
    assert files.read(file) is None


def test_a_file_that_cannot_be_read_just_now_is_read_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, files = kept("s", [1, 2, 3]), _open(folder)
    files.write(entry)
    file, _ = files.best([1, 2, 3], None)
    assert file is not None
    with monkeypatch.context() as busy:
        busy.setattr("chatbot.engine.kv_files.read_kv", _too_many_open_files)
        assert files.read(file) is None
    assert is_same(files.read(file), entry)


def _too_many_open_files(*_: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_file_that_vanished_is_no_matter(folder: Path) -> None:
    files = _open(folder)
    files.write(kept("s", [1, 2, 3]))
    file, _ = files.best([1, 2, 3], None)
    assert file is not None
    file.path.unlink()
    assert files.read(file) is None
    assert not files.has(file)


def test_half_written_files_of_an_earlier_run_are_removed_and_others_files_are_not(folder: Path) -> None:
    files = _open(folder)
    files.write(kept("s", [1, 2, 3]))
    (path,) = folder.iterdir()
    path.rename(path.with_name(path.name + ".unfinished"))
    strange = folder / "notes.txt"
    strange.write_text("mine")
    (folder / ("a" * 32 + "-" + "b" * 16 + ".safetensors")).mkdir()
    files = _open(folder, 1)
    files.write(kept("s", [1, 2, 3]))
    assert strange.read_text() == "mine"
    assert not list(folder.glob("*.unfinished"))


def test_a_forgotten_conversation_has_no_file_under_any_adapter_or_model(folder: Path) -> None:
    _open(folder, kind=OTHER).write(kept("s", [1, 2], kind=OTHER))
    files = _open(folder)
    for entry in (kept("s", [1, 2]), kept("s", [1, 2], "pirate"), kept("t", [1, 2])):
        files.write(entry)
    files.forget(owner_of("s"))
    assert [path.name[:32] for path in folder.iterdir()] == [owner_of("t")]
    assert files.best([1, 2], "pirate") == (None, 0)


def test_a_forgotten_conversation_is_not_found_though_its_files_were_gone_already(folder: Path) -> None:
    files = _open(folder)
    files.write(kept("s", [1, 2]))
    remove_files(folder, owner_of("s"))
    files.forget(owner_of("s"))
    assert files.best([1, 2], None) == (None, 0)


def test_a_file_that_vanished_is_written_again(folder: Path) -> None:
    files = _open(folder)
    files.write(kept("s", [1, 2]))
    remove_files(folder, owner_of("s"))
    files.write(kept("s", [1, 2]))
    assert len(list(folder.iterdir())) == 1


def test_what_is_not_wanted_any_more_once_it_is_written_leaves_no_file(folder: Path) -> None:
    files = _open(folder)
    files.write(kept("s", [1, 2, 3]), lambda: False)
    assert list(folder.iterdir()) == []
    assert files.best([1, 2, 3], None) == (None, 0)


def test_a_folder_that_cannot_be_written_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = _open(folder)
    folder.rmdir()
    for name in "ab":
        files.write(kept(name, [1, 2, 3]))
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text


def test_a_deletion_while_its_file_is_written_is_no_failure_and_hides_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = _open(folder)

    def write_and_delete(path: Path, entry: KVEntry, kind: KVKind) -> None:
        write_kv(path, entry, kind)
        files.forget(owner_of("s"))

    monkeypatch.setattr("chatbot.engine.kv_files.write_kv", write_and_delete)
    files.write(kept("s", [1, 2, 3]), lambda: False)
    assert caplog.records == []
    for write in (_too_many_open_files, write_kv, _too_many_open_files):
        monkeypatch.setattr("chatbot.engine.kv_files.write_kv", write)
        files.write(kept("t", [1, 2, 3]))
        files.forget(owner_of("t"))
    assert ["cannot be written" in record.message for record in caplog.records] == [True, True]


def test_a_file_that_cannot_be_written_to_its_end_takes_no_room(folder: Path) -> None:
    files = _open(folder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # as on a full disk, the end is not written
    try:
        files.write(kept("s", [1] * 500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []
    assert files.best([1, 1], None) == (None, 0)


def test_the_last_room_of_a_disk_is_left_to_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 100 * BYTES_PER_TOKEN

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=SPARE_BYTES + free - _size_bytes(path))

    monkeypatch.setattr("shutil.disk_usage", usage)
    files = _open(folder, 1 << 30)
    for number, name in enumerate("abc"):
        files.write(kept(name, [number] * 30, used_at=float(number)))
    files.write(kept("large", [4] * 200))
    assert [files.best([number] * 30, None)[1] for number in range(5)] == [0, 30, 30, 0, 0]
    free = -1
    _open(folder, 1 << 30)
    assert list(folder.iterdir()) == []


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 30)), max_size=12),
    limit_tokens=st.integers(0, 80),
)
def test_the_folder_never_holds_more_than_its_limit(
    tmp_path: Path, writes: list[tuple[str, int]], limit_tokens: int
) -> None:
    folder = tmp_path / f"kv{len(list(tmp_path.iterdir()))}"
    limit = limit_tokens * BYTES_PER_TOKEN
    files = _open(folder, limit)
    for now, (name, length) in enumerate(writes, start=1):
        files.write(kept(name, [ord(name)] * length, used_at=float(now)))
        assert _size_bytes(folder) <= limit
