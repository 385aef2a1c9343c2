"""A copy of the database beside it, made before its schema changes.

The copy appears under its final name only when it is whole and on the disk. It goes once the new schema has proved
itself, for it holds what people delete afterwards.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path


def backups_of(database: Path) -> list[Path]:
    """Return the copies of a database, halves that a crash left included."""
    return [path for path in database.parent.iterdir() if path.name.startswith(f"{database.name}.backup-")]


def remove_backups(backups: Sequence[Path]) -> None:
    """Delete copies that are needed no more; one that cannot be deleted is left to the next opening."""
    for path in backups:
        with suppress(OSError):
            path.unlink()
    for folder in {path.parent for path in backups}:
        _sync(folder)


def back_up(database: Path, revision: str) -> Path:
    """Write `<db>.backup-<revision>` and return its path; an older copy of that revision is replaced."""
    target = database.with_name(f"{database.name}.backup-{revision}")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    # VACUUM INTO fills an empty file, so the copy is private from its first byte.
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(partial),))
    _sync(partial)
    os.replace(partial, target)
    _sync(target.parent)
    return target


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
