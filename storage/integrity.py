"""SQLite's own check of the file. It sees broken pages and indexes, not a changed letter in a text."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

from storage.records import Integrity


def problems_in(database: Path) -> list[str]:
    """Return what is wrong with a file, whoever has it open; nothing if it is sound."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            answers = [str(answer) for (answer,) in connection.execute("PRAGMA quick_check")]
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
                raise
            return [str(error)]
    return [] if answers == ["ok"] else answers


def check(db: Connection) -> Integrity:
    """Run quick_check; its answer is one row saying "ok", or a row for each problem."""
    answers = tuple(str(row[0]) for row in db.exec_driver_sql("PRAGMA quick_check"))
    is_ok = answers == ("ok",)
    return Integrity(is_ok=is_ok, problems=() if is_ok else answers, sqlite_version=sqlite3.sqlite_version)
