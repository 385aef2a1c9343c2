"""Is the file at the path still the file that is open?

SQLite goes on committing into a deleted or replaced file without any error, and every such commit is lost.
"""

import os
from pathlib import Path

from storage.database import wal_of
from storage.errors import StorageBroken


class FileIdentity:
    """Device and inode of the database and its WAL, as they were while the writer was open."""

    def __init__(self, database: Path) -> None:
        self.wal = wal_of(database)
        self._files = {path: _identity(path) for path in (database, self.wal)}

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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
