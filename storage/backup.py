"""A copy of the database beside it, made before its schema changes.

It goes once the new schema has proved itself, for it holds what people delete afterwards.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from storage.copies import partial_of, sync, write_copy


def backups_of(database: Path, revisions: Iterable[str]) -> list[Path]:
    """Return the copies made before upgrades from these revisions, halves that a crash left included.

    Other files beside the database are not ours, whatever they are called.
    """
    targets = [_target(database, revision) for revision in revisions]
    return [path for target in targets for path in (target, partial_of(target)) if path.exists()]


def remove_backups(backups: Sequence[Path]) -> None:
    """Delete copies that are needed no more; one that cannot be deleted is left to the next opening."""
    for path in backups:
        with suppress(OSError):
            path.unlink()
    for folder in {path.parent for path in backups}:
        sync(folder)


def back_up(database: Path, revision: str) -> Path:
    """Write `<db>.backup-<revision>` and return its path; an older copy of that revision is replaced."""
    target = _target(database, revision)
    partial_of(target).unlink(missing_ok=True)  # left by a crash
    write_copy(database, target)
    return target


def _target(database: Path, revision: str) -> Path:
    return database.with_name(f"{database.name}.backup-{revision}")
