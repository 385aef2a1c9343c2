"""Copies of a database: written while others use it, and put in its place.

A copy appears under its final name only when it is whole and on the disk.
"""

import os
import sqlite3
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from storage.database import wal_of
from storage.lock import DatabaseLock


def write_copy(database: Path, target: Path) -> None:
    """Copy a database as it is now, whoever has it open; the target is replaced if it exists."""
    partial = partial_of(target)
    partial.unlink(missing_ok=True)
    # VACUUM INTO fills an empty file, so the copy is private from its first byte.
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(partial),))
        sync(partial)
        os.replace(partial, target)
    except BaseException:
        partial.unlink()  # what did not fit must not be what fills the disk
        raise
    sync(target.parent)


def put_in_place(copy: Path, database: Path) -> Path | None:
    """Make the database what the copy is, and return where what it was is kept, if there was one.

    Raises StorageLocked while a server has it. There is a database at every moment.
    """
    database = database.resolve()  # a link to it stays one
    lock = DatabaseLock.acquire(database)
    try:
        incoming = database.with_name(f"{database.name}.restoring")
        write_copy(copy, incoming)
        outgoing = _keep(database) if database.exists() else None
        os.replace(incoming, database)
        sync(database.parent)
    finally:
        lock.release(is_clean=not lock.was_unclean)
    return outgoing


def _keep(database: Path) -> Path:
    """Give the database a second name, and its WAL only that: SQLite would play it over what comes in its place."""
    names = (database.with_name(f"{database.name}.replaced-{number}") for number in count(1))
    outgoing = next(name for name in names if not name.exists())
    os.link(database, outgoing)
    with suppress(FileNotFoundError):
        os.replace(wal_of(database), wal_of(outgoing))
    return outgoing


def partial_of(target: Path) -> Path:
    """Return where a copy is while it is written."""
    return target.with_name(f"{target.name}.partial")


def sync(path: Path) -> None:
    """Have a file or folder on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
