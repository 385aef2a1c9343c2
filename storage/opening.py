"""From a path to an open database: folder, lock, upgrade, writer, write probe, readers; and back.

Each step undoes itself if a later one fails, so that a refused open leaves nothing held.
"""

import asyncio
import os
import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, update
from sqlalchemy.exc import DBAPIError

from storage.backup import backups_of, remove_backups
from storage.database import reader_engine, wal_of, writer_engine
from storage.errors import StorageBroken, StorageReadOnly
from storage.file_identity import FileIdentity
from storage.integrity import check
from storage.lock import DatabaseLock
from storage.reader import Reader
from storage.schema import change_counter
from storage.sqlite_errors import DISK_ADVICE, translate
from storage.upgrade import known_revisions, upgrade
from storage.writer import Writer


@dataclass(frozen=True, slots=True)
class OpenDatabase:
    writer: Writer
    reader: Reader
    lock: DatabaseLock

    async def close(self) -> None:
        """Readers first: the writer's is the last connection, so it empties the WAL and removes it."""
        try:
            await self.reader.close()
        finally:
            try:
                await self.writer.close()
            finally:
                self.lock.release(is_clean=self.writer.broken is None)


async def open_database(path: Path) -> OpenDatabase:
    """Open the database for this process alone, or raise one of storage.errors.Refused."""
    database, lock, connection = await asyncio.to_thread(_prepare, path)
    return OpenDatabase(
        writer=Writer(connection, FileIdentity(database, lock)),
        reader=Reader(reader_engine(database)),
        lock=lock,
    )


def _prepare(path: Path) -> tuple[Path, DatabaseLock, Connection]:
    database = path.expanduser().resolve()
    with ExitStack() as undo:
        _make_private_folder(database.parent)
        lock = DatabaseLock.acquire(database)
        undo.callback(lock.release, is_clean=not lock.was_unclean)  # what is refused now has to be checked next time
        _require_database_of_wal(database)
        _make_private_file(database)
        try:
            backups = [] if upgrade(database) else backups_of(database, known_revisions())
            engine = writer_engine(database)
            undo.callback(engine.dispose)
            connection = engine.connect()
            undo.callback(connection.close)
            _probe(connection)
            if lock.was_unclean or backups:
                _require_sound(connection, database)
            remove_backups(backups)
        except (DBAPIError, sqlite3.Error) as error:
            raise translate(error) from error
        except OSError as error:
            name = error.filename or database
            raise StorageReadOnly(f"{name}: expected what can be written, but {error.strerror}") from error
        undo.pop_all()
    return database, lock, connection


def _probe(connection: Connection) -> None:
    """Commit a write that changes nothing: a disk that cannot be written is told now, not later."""
    with connection.begin():
        connection.execute(update(change_counter).values(value=change_counter.c.value))


def _require_sound(connection: Connection, database: Path) -> None:
    """After a run that ended badly, and before a backup goes, check the file."""
    with connection.begin():
        problems = check(connection)
    if problems:
        raise StorageBroken(f"{database}: the database is damaged ({problems[0]}); {DISK_ADVICE}")


def _require_database_of_wal(database: Path) -> None:
    """SQLite deletes a WAL beside a database that is empty, and with it what was acknowledged."""
    wal = wal_of(database)
    if _size_bytes(wal) and not _size_bytes(database):
        raise StorageBroken(
            f"{database}: expected the database of {wal.name}, but it is gone or empty; put it back, restore a copy"
            " with `chatbot db restore FILE`, or move that file away to begin anew"
        )


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _make_private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageReadOnly(f"{folder}: expected a folder that can be made, but {error.strerror}") from error


def _make_private_file(database: Path) -> None:
    """Chats are their owner's; the WAL takes its permissions from this file."""
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageReadOnly(f"{database}: expected a writable file, but {error.strerror}") from error
