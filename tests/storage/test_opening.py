"""A store opens for one process, on a file that can be written, or says why not."""

import asyncio
import errno
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from storage import Store
from storage.errors import StorageBroken, StorageForeign, StorageLocked, StorageReadOnly
from tests.storage.worlds import content, damage_items, whole_turn, write

OPEN_READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
import alembic.command
from storage import Store
from storage.errors import StorageReadOnly

if os.geteuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(Store.open(Path(sys.argv[1])))
except StorageReadOnly as error:
    print(error)
"""


async def test_folders_are_made_and_files_are_private(tmp_path: Path) -> None:
    database = tmp_path / "new" / "folder" / "chats.db"
    store = await Store.open(database)
    await store.create_conversation("conv_1")
    for path in database.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    await store.close()
    assert sorted(path.name for path in database.parent.iterdir()) == ["chats.db", "chats.db.lock"]


async def test_a_second_opener_is_refused_and_told_the_pid(store: Store, database: Path) -> None:
    with pytest.raises(StorageLocked, match=f"process {os.getpid()} has it open"):
        await Store.open(database)
    link = database.with_name("link.db")
    link.symlink_to(database)
    with pytest.raises(StorageLocked):
        await Store.open(link)
    await store.create_conversation("conv_1")


async def test_close_gives_the_lock_back(database: Path) -> None:
    for _ in range(3):
        store = await Store.open(database)
        await store.close()


async def test_a_disk_without_room_for_the_lock_is_told_and_leaves_the_mark_of_an_unclean_end(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = database.with_name("chats.db.lock")
    lock.write_text("12345")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StorageReadOnly, match=r"chats\.db\.lock: .* No space left on device"):
            await Store.open(database)
    assert lock.read_text() == "12345"
    await (await Store.open(database)).close()


async def test_a_refused_open_gives_the_lock_back(database: Path) -> None:
    garbage = b"this is no database" * 100
    write(database, garbage)
    for _ in range(2):
        with pytest.raises(StorageForeign):
            await Store.open(database)
    assert content(database) == garbage


async def test_a_database_of_another_program_is_left_alone(database: Path) -> None:
    other = sqlite3.connect(database)
    for table in ("alembic_version", "conversations"):  # as another program has them that talks
        other.execute(f"CREATE TABLE {table} (name)")
    other.close()
    before = content(database)
    with pytest.raises(StorageForeign, match="holds other tables"):
        await Store.open(database)
    assert content(database) == before


@pytest.mark.parametrize("what", ["folder", "file", "parent"])
def test_what_cannot_be_written_is_told_at_start(what: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = folder / "chats.db"
        folder.chmod(0o755)
        if what == "file":
            folder.chmod(0o777)
            database.touch(0o444)
        elif what == "parent":
            database = folder / "new" / "chats.db"
        if os.geteuid() != 0:
            folder.chmod(0o555)
        answer = open_without_privileges(database)
        folder.chmod(0o755)
    assert "Permission denied" in answer


def test_a_folder_that_became_read_only_is_told_at_start() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = folder / "chats.db"
        asyncio.run(open_and_close(database))
        for path in (database, folder / "chats.db.lock"):
            path.chmod(0o666)
        folder.chmod(0o555)
        answer = open_without_privileges(database)
        folder.chmod(0o755)
    assert "writable" in answer


async def open_and_close(database: Path) -> None:
    store = await Store.open(database)
    await store.close()


def open_without_privileges(database: Path) -> str:
    command = [sys.executable, "-c", OPEN_READ_ONLY, str(database)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("is_left", [False, True])
async def test_a_wal_without_its_database_is_kept(database: Path, is_left: bool) -> None:
    wal = database.with_name("chats.db-wal")
    write(wal, b"committed")
    if is_left:
        write(database, b"")
    with pytest.raises(StorageBroken, match=r"expected the database of chats\.db-wal, but it is gone or empty"):
        await Store.open(database)
    assert content(wal) == b"committed"


async def test_an_unclean_end_is_noticed_and_the_file_checked(database: Path) -> None:
    store = await Store.open(database)
    await store.create_conversation("conv_1")
    for n in range(50):
        await whole_turn(store, f"{n}_{'x' * 500}")
    await store.close()
    damage_items(database)
    lock = database.with_name("chats.db.lock")
    assert lock.read_text() == ""
    lock.write_text("12345")
    for _ in range(2):  # refusing it once must not make it look sound
        with pytest.raises(StorageBroken, match="damaged"):
            await Store.open(database)


async def test_readers_cannot_write(store: Store) -> None:
    reader = store._database.reader
    for statement in ("DELETE FROM conversations", "CREATE TABLE x (y)", "PRAGMA user_version = 5"):
        with pytest.raises(Exception, match="READONLY"):
            await reader.read(lambda db, sql=statement: db.exec_driver_sql(sql))  # type: ignore[misc]


async def test_every_connection_has_its_pragmas(store: Store) -> None:
    names = (
        "foreign_keys",
        "secure_delete",
        "synchronous",
        "busy_timeout",
        "trusted_schema",
        "query_only",
        "mmap_size",
    )
    both = ("journal_mode", "cell_size_check", "wal_autocheckpoint", "journal_size_limit", "cache_size")

    def pragmas(db: object) -> dict[str, object]:
        return {name: db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in (*names, *both)}  # type: ignore[attr-defined]

    common = {
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "trusted_schema": 0,
        "mmap_size": 0,
        "journal_mode": "wal",
        "cell_size_check": 1,
    }
    writing = await store._database.writer.submit(pragmas)
    assert writing.items() >= {**common, "secure_delete": 1, "synchronous": 2, "query_only": 0}.items()
    assert (writing["wal_autocheckpoint"], writing["journal_size_limit"]) == (1000, 64 * 1024 * 1024)
    assert writing["cache_size"] == -64 * 1024
    reading = await store._database.reader.read(pragmas)
    assert reading.items() >= {**common, "query_only": 1, "wal_autocheckpoint": 0}.items()


async def test_transactions_of_the_writer_hold_the_write_lock_from_the_start(store: Store, database: Path) -> None:
    def second_writer_is_refused(_db: object) -> bool:
        other = sqlite3.connect(database, isolation_level=None, timeout=0)
        try:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        finally:
            other.close()
        return True

    assert await store._database.writer.submit(second_writer_is_refused)


def test_parameters_stay_out_of_sqlalchemy_errors() -> None:
    error = OperationalError("INSERT", {"text": "canary"}, sqlite3.OperationalError("x"), hide_parameters=True)
    assert "canary" not in str(error)
