"""The disk is waited for in a thread of its own, and what waits can be found and forgotten."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatbot.engine.kv_entry import KVEntry
from chatbot.engine.kv_files import KVFiles
from chatbot.engine.kv_owner import owner_of
from chatbot.engine.kv_writer import KVWriter
from tests.engine.kept import BYTES_PER_TOKEN, KIND, kept

ROOM = 1 << 20


class SlowFiles(KVFiles):
    """Files on a disk that waits until it may go on."""

    def __init__(self, folder: Path, limit_bytes: int = ROOM) -> None:
        super().__init__(folder, KIND, limit_bytes)
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.written: list[str] = []

    def write(self, entry: KVEntry, is_wanted: Callable[[], bool] = lambda: True) -> None:
        self.has_begun.set()
        assert self.may_go_on.wait(10)
        super().write(entry, is_wanted)
        self.written.append(entry.owner)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[SlowFiles]:
    files = SlowFiles(tmp_path)
    yield files
    files.may_go_on.set()


def test_what_waits_for_the_disk_can_still_be_found(files: SlowFiles) -> None:
    writer = KVWriter(files, ROOM)
    entries = [kept("a", [1, 2]), kept("b", [3, 4])]
    for entry in entries:
        writer.put(entry)
    assert files.has_begun.wait(10)
    assert writer.waiting == entries
    files.may_go_on.set()
    writer.close([], 10)
    assert writer.waiting == []
    assert [files.best(entry.tokens, None)[1] for entry in entries] == [2, 2]


def test_what_is_forgotten_while_it_is_written_leaves_no_file(files: SlowFiles, tmp_path: Path) -> None:
    writer = KVWriter(files, ROOM)
    writer.put(kept("a", [1, 2]))
    assert files.has_begun.wait(10)
    writer.forget(owner_of("a"))
    files.may_go_on.set()
    writer.close([], 10)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_slow_loses_what_was_used_longest_ago(files: SlowFiles) -> None:
    writer = KVWriter(files, 5 * BYTES_PER_TOKEN)
    for number, name in enumerate("abc"):
        writer.put(kept(name, [number, number], used_at=float(number)))
    assert [entry.owner for entry in writer.waiting] == [owner_of("b"), owner_of("c")]
    files.may_go_on.set()
    writer.close([], 10)


def test_closing_writes_the_last_used_first_as_far_as_there_is_room(files: SlowFiles) -> None:
    files.may_go_on.set()
    writer = KVWriter(files, ROOM)
    ages = {"a": 1.0, "c": 3.0, "b": 2.0}
    writer.close([kept(name, [ord(name)] * 3, used_at=used_at) for name, used_at in ages.items()], 10)
    assert files.written == [owner_of(name) for name in "cba"]


def test_closing_does_not_wait_for_a_disk_that_hangs(files: SlowFiles) -> None:
    writer = KVWriter(files, ROOM)
    writer.close([kept("a", [1, 2]), kept("b", [3, 4])], 0.05)
    assert len(writer.waiting) == 2
    files.may_go_on.set()


def test_of_an_earlier_and_a_later_state_the_later_is_written_at_closing(files: SlowFiles) -> None:
    writer = KVWriter(files, ROOM)
    writer.put(kept("a", [1, 2], used_at=1.0))
    assert files.has_begun.wait(10)
    files.may_go_on.set()
    writer.close([kept("a", [1, 2, 3], used_at=2.0)], 10)
    assert files.best([1, 2, 3], None)[1] == 3
