"""Is the file at the path still the file that is open?

SQLite goes on committing into a deleted or replaced file without any error, and every such commit is lost. And without
the lock file that this process has locked, another one may open the same database.
"""

import os
from pathlib import Path

from storage.database import wal_of
from storage.errors import StorageBroken
from storage.lock import DatabaseLock


class FileIdentity:
    """Device and inode of the database, its WAL and its lock, as they were while the writer was open."""

    def __init__(self, database: Path, lock: DatabaseLock) -> None:
        self.wal = wal_of(database)
        self._files = {path: _identity(path) for path in (database, self.wal)}
        self._files[lock.path] = _identity(lock.fileno())

    def verify(self) -> None:
        """Raise StorageBroken if a file was deleted or replaced since."""
        for path, expected in self._files.items():
            found = _identity(path)
            if found != expected:
                what = "was deleted" if found is None else "was replaced by another file"
                raise StorageBroken(
                    f"{path}: {what} while the server had it open; nothing more is acknowledged."
                    " Stop the server before a restore, then start it again"
                )


def _identity(path: Path | int) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
