"""A copy of the database beside it, made before its schema changes.

The copy appears under its final name only when it is whole and on the disk. It goes once the new schema has proved
itself, for it holds what people delete afterwards.
"""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path


def backups_of(database: Path, revisions: Iterable[str]) -> list[Path]:
    """Return the copies made before upgrades from these revisions, halves that a crash left included.

    Other files beside the database are not ours, whatever they are called.
    """
    targets = [_target(database, revision) for revision in revisions]
    return [path for target in targets for path in (target, _partial(target)) if path.exists()]


def remove_backups(backups: Sequence[Path]) -> None:
    """Delete copies that are needed no more; one that cannot be deleted is left to the next opening."""
    for path in backups:
        with suppress(OSError):
            path.unlink()
    for folder in {path.parent for path in backups}:
        _sync(folder)


def back_up(database: Path, revision: str) -> Path:
    """Write `<db>.backup-<revision>` and return its path; an older copy of that revision is replaced."""
    target = _target(database, revision)
    partial = _partial(target)
    partial.unlink(missing_ok=True)
    # VACUUM INTO fills an empty file, so the copy is private from its first byte.
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(partial),))
        _sync(partial)
    except BaseException:
        partial.unlink()  # what did not fit must not be what fills the disk
        raise
    os.replace(partial, target)
    _sync(target.parent)
    return target


def _target(database: Path, revision: str) -> Path:
    return database.with_name(f"{database.name}.backup-{revision}")


def _partial(target: Path) -> Path:
    return target.with_name(target.name + ".partial")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
