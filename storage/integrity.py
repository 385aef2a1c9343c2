"""SQLite's own check of the file. It sees broken pages and indexes, not a changed letter in a text."""

import sqlite3

from sqlalchemy import Connection

from storage.records import Integrity


def check(db: Connection) -> Integrity:
    """Run quick_check; its answer is one row saying "ok", or a row for each problem."""
    answers = tuple(str(row[0]) for row in db.exec_driver_sql("PRAGMA quick_check"))
    is_ok = answers == ("ok",)
    return Integrity(is_ok=is_ok, problems=() if is_ok else answers, sqlite_version=sqlite3.sqlite_version)
