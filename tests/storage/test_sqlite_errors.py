"""Each SQLite result code becomes one typed error that says what to do."""

import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from storage.errors import (
    StorageBroken,
    StorageBusy,
    StorageClosed,
    StorageError,
    StorageForeign,
    StorageFull,
    StorageReadOnly,
)
from storage.sqlite_errors import reaches_batch, translate


def sqlite_error(code: int, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("message of SQLite")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_NAME"
    return error


@pytest.mark.parametrize(
    ("code", "kind", "whole_batch"),
    [
        (sqlite3.SQLITE_FULL, StorageFull, True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusy, True),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StorageReadOnly, True),
        (sqlite3.SQLITE_CANTOPEN, StorageReadOnly, True),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageBroken, True),
        (sqlite3.SQLITE_CORRUPT, StorageBroken, True),
        (sqlite3.SQLITE_NOTADB, StorageForeign, True),
        (sqlite3.SQLITE_ERROR, StorageError, False),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, StorageError, False),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_result_code_has_one_meaning(
    code: int, kind: type[StorageError], whole_batch: bool, is_wrapped: bool
) -> None:
    error: Exception = sqlite_error(code)
    if is_wrapped:
        error = OperationalError("SELECT", None, error)
    assert type(translate(error)) is kind
    assert "SQLITE_NAME" in str(translate(error))
    assert "message of SQLite" not in str(translate(error))
    assert reaches_batch(error) is whole_batch


def test_a_closed_connection_is_told() -> None:
    assert isinstance(translate(sqlite3.ProgrammingError("Cannot operate on a closed database.")), StorageClosed)


def test_other_errors_are_not_touched() -> None:
    error = KeyError("x")
    assert translate(error) is error
    assert not reaches_batch(error)
