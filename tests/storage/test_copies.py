"""A copy takes the place of a database, and what that was is kept, whatever becomes of the restore."""

import asyncio
import errno
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from storage import Store
from storage.copies import put_in_place, write_copy
from tests.storage.worlds import content, user, write


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, and beside it the folder of a database that got one more message, which is in its WAL alone."""
    copy = tmp_path_factory.mktemp("copies") / "copy.db"

    async def crash() -> None:
        database = copy.parent / "running" / "chats.db"
        store = await Store.open(database)
        await store.create_conversation("conv_1", items=[user("a")])
        write_copy(database, copy)
        await store.append_items("conv_1", [user("b")])
        shutil.copytree(database.parent, copy.parent / "crashed")
        await store.close()

    asyncio.run(crash())
    return copy


@pytest.fixture
def crashed(copy: Path, tmp_path: Path) -> Path:
    return shutil.copytree(copy.parent / "crashed", tmp_path, dirs_exist_ok=True) / "chats.db"


def said(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM items ORDER BY position")]


def refuse(*_: object) -> NoReturn:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_restore_that_is_cut_off_leaves_the_database_with_all_that_was_said(
    copy: Path, crashed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda _from, to: refuse() if to == crashed else os.rename(_from, to))
        with pytest.raises(PermissionError):
            put_in_place(copy, crashed)
    assert said(crashed) == ["text of a", "text of b"]
    assert list(crashed.parent.glob("*.restoring*")) == []


def test_what_was_there_is_kept_under_a_name_of_which_nothing_is_left(copy: Path, crashed: Path) -> None:
    write(crashed.with_name("chats.db.replaced-1-wal"), b"left")
    kept = put_in_place(copy, crashed)
    assert kept == crashed.with_name("chats.db.replaced-2")
    assert said(kept) == ["text of a", "text of b"]
    assert said(crashed) == ["text of a"]


@pytest.mark.parametrize("is_left", [False, True])
def test_a_wal_without_its_database_is_kept_and_not_played_over_the_copy(
    copy: Path, crashed: Path, is_left: bool
) -> None:
    wal = content(crashed.with_name("chats.db-wal"))
    crashed.unlink()
    if is_left:
        crashed.touch()
    put_in_place(copy, crashed)
    assert said(crashed) == ["text of a"]
    assert content(crashed.with_name("chats.db.replaced-1-wal")) == wal


def test_without_hard_links_what_was_there_is_copied(
    copy: Path, crashed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse)
    kept = put_in_place(copy, crashed)
    assert kept is not None
    assert (said(kept), said(crashed)) == (["text of a", "text of b"], ["text of a"])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_what_cannot_be_kept_is_not_replaced(copy: Path, crashed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(PermissionError):
        put_in_place(copy, crashed)
    assert said(crashed) == ["text of a", "text of b"]
    assert {path.name for path in crashed.parent.iterdir()} <= {"chats.db", "chats.db.lock"}
