"""One server per database: an advisory lock on `<db>.lock`, held while the store is open.

The kernel drops the lock when the process dies, however it dies. The pid inside is removed only by an orderly
close, so finding one also tells that the last run ended badly.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from storage.errors import StorageLocked, StorageReadOnly


class DatabaseLock:
    def __init__(self, path: Path, descriptor: int, was_unclean: bool) -> None:
        self.path = path
        self._descriptor = descriptor
        self.was_unclean = was_unclean
        """True if the previous holder never closed the store."""

    @classmethod
    def acquire(cls, database: Path) -> "DatabaseLock":
        """Take the lock, or raise StorageLocked with the pid of its holder."""
        path = _lock_of(database)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_writable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _read_pid(descriptor)
            os.close(descriptor)
            raise StorageLocked(
                f"{database}: expected to be the only server, but process {holder or 'unknown'} has it open;"
                " stop that one or choose another database path",
                int(holder) if holder.isdecimal() else None,
            ) from error
        was_unclean = bool(_read_pid(descriptor))
        try:
            _write_pid(descriptor, str(os.getpid()))
        except OSError as error:
            os.close(descriptor)
            raise _not_writable(path, error) from error
        return cls(path, descriptor, was_unclean)

    def fileno(self) -> int:
        """Return the descriptor of the file that is locked, whatever its path leads to by now."""
        return self._descriptor

    @staticmethod
    def is_held(database: Path) -> bool:
        """Tell whether a process has the lock now."""
        try:
            with _lock_of(database).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def release(self, *, is_clean: bool) -> None:
        """Give the lock back, after an orderly close with the mark of one. Calling it again does nothing."""
        if self._descriptor < 0:
            return
        if is_clean:
            with contextlib.suppress(OSError):
                _write_pid(self._descriptor, "")
        os.close(self._descriptor)
        self._descriptor = -1


def _lock_of(database: Path) -> Path:
    """Return the lock file beside the database itself, by whatever link that is reached."""
    database = database.resolve()
    return database.with_name(f"{database.name}.lock")


def _read_pid(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()


def _write_pid(descriptor: int, pid: str) -> None:
    """Replace the pid; if that fails, the earlier one stays."""
    written = os.pwrite(descriptor, pid.encode("ascii"), 0)
    os.ftruncate(descriptor, written)


def _not_writable(path: Path, error: OSError) -> StorageReadOnly:
    return StorageReadOnly(f"{path}: expected a writable lock file, but {error.strerror}")
