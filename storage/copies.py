"""Copies of a database: written while others use it, and put in its place.

A copy appears under its final name only when it is whole and on the disk.
"""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from storage.database import wal_of
from storage.lock import DatabaseLock


def write_copy(database: Path, target: Path) -> None:
    """Copy a database as it is now, whoever has it open; the target is replaced if it exists.

    Raises FileExistsError if the file is there where the copy is while it is written.
    """
    partial = partial_of(target)
    _make_private(partial)  # VACUUM INTO fills an empty file, so the copy is private from its first byte
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(partial),))
        sync(partial)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)  # what did not fit must not be what fills the disk
        raise
    sync(target.parent)


def put_in_place(copy: Path, database: Path) -> Path | None:
    """Make the database what the copy is, and return where what it was is kept, if there was one.

    Raises StorageLocked while a server has it. There is a whole database at every moment.
    """
    database = database.resolve()  # a link to it stays one
    lock = DatabaseLock.acquire(database)
    incoming = database.with_name(f"{database.name}.restoring")
    try:
        partial_of(incoming).unlink(missing_ok=True)
        write_copy(copy, incoming)
        outgoing = _keep(database)
        os.replace(incoming, database)
        sync(database.parent)
    finally:
        incoming.unlink(missing_ok=True)
        lock.release(is_clean=not lock.was_unclean)
    return outgoing


def _keep(database: Path) -> Path | None:
    """Give the database a second name, and its WAL only that: SQLite would play it over what comes in its place."""
    if not _is_taken(database):
        return None
    names = (database.with_name(f"{database.name}.replaced-{number}") for number in count(1))
    outgoing = next(name for name in names if not _is_taken(name))
    if database.exists():
        _empty_wal(database)
        _name_also(database, outgoing)
    with suppress(FileNotFoundError):
        os.replace(wal_of(database), wal_of(outgoing))
    return outgoing if outgoing.exists() else wal_of(outgoing)


def _is_taken(name: Path) -> bool:
    """Whether there is a database of this name, or what is left of one."""
    return name.exists() or wal_of(name).exists()


def _empty_wal(database: Path) -> None:
    """Move the WAL into its database, which then is whole by itself, unless that is damaged or empty."""
    if database.stat().st_size:  # SQLite would delete the WAL of an empty one
        with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _name_also(file: Path, name: Path) -> None:
    """Have the file under another name too, as a copy where the disk has no hard links."""
    try:
        os.link(file, name)
    except OSError:
        _make_private(name)
        try:
            shutil.copyfile(file, name)
            sync(name)
        except BaseException:
            name.unlink()
            raise


def _make_private(file: Path) -> None:
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


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
