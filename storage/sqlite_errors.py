"""What a SQLite result code means for us: whose fault, how far it reaches, what to do.

`reaches_batch` is the one question the writer asks: may SQLite itself have rolled back the whole transaction?
"""

import sqlite3

from sqlalchemy.exc import DBAPIError

from storage.errors import (
    AlreadyExists,
    StorageBroken,
    StorageBusy,
    StorageClosed,
    StorageError,
    StorageForeign,
    StorageFull,
    StorageReadOnly,
)

DISK_ADVICE = "stop the server, check the disk, then run `chatbot db check`"

_MEANING: dict[int, tuple[type[StorageError], str]] = {
    sqlite3.SQLITE_FULL: (
        StorageFull,
        "the disk is full; free some space, writes then work again by themselves",
    ),
    sqlite3.SQLITE_BUSY: (StorageBusy, "another process holds the database; try again when it is done"),
    sqlite3.SQLITE_LOCKED: (StorageBusy, "another connection holds the table; try again"),
    sqlite3.SQLITE_READONLY: (StorageReadOnly, "the database or its folder is read-only; make both writable"),
    sqlite3.SQLITE_CANTOPEN: (
        StorageReadOnly,
        "the database cannot be opened; make file and folder writable",
    ),
    sqlite3.SQLITE_IOERR: (StorageBroken, f"the disk failed or is full; {DISK_ADVICE}"),
    sqlite3.SQLITE_CORRUPT: (StorageBroken, f"the database is damaged; {DISK_ADVICE}"),
    sqlite3.SQLITE_NOTADB: (StorageForeign, "the file is not a SQLite database; choose another path"),
}

# Errors of one statement only; after any other code the whole transaction is in doubt.
_STATEMENT_CODES = {
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
}


def result_code(error: BaseException) -> int | None:
    """Primary SQLite result code of an error, or None if SQLite did not raise it."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(origin, sqlite3.Error):
        return None
    code = getattr(origin, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def reaches_batch(error: BaseException) -> bool:
    """True if no other operation of the same transaction may be acknowledged either."""
    code = result_code(error)
    return code is not None and code not in _STATEMENT_CODES


def translate(error: BaseException) -> BaseException:
    """Return the typed error for a SQLite error, and any other error unchanged."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(origin, sqlite3.Error):
        return error
    code = result_code(error)
    if code in _MEANING:
        kind, advice = _MEANING[code]
        return kind(f"{getattr(origin, 'sqlite_errorname', 'SQLITE')}: {advice}")
    if isinstance(origin, sqlite3.IntegrityError) and "UNIQUE" in str(origin):
        return AlreadyExists(f"expected a new id, but it is taken ({origin}); make another id or use what is stored")
    if code is None and isinstance(origin, sqlite3.ProgrammingError):
        return StorageClosed("the database connection is closed; open the store again")
    # Not in SQLite's own words, which may quote what people wrote.
    return StorageError(f"{getattr(origin, 'sqlite_errorname', 'SQLITE')}: a statement failed; {DISK_ADVICE}")
