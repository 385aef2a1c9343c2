"""SQLite's own check of the file, which sees broken pages and indexes; and ours of the texts, for bytes of no letter.

A letter that became another is seen by neither.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection


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


def garbled_in(database: Path) -> list[str]:
    """Return the ids of messages with bytes that are not UTF-8, and so are read as U+FFFD."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        texts = connection.execute("SELECT id, text FROM items")
        return [str(item_id, errors="replace") for item_id, text in texts if not _is_utf8(text)]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def check(db: Connection) -> list[str]:
    """Return what is wrong with the open database; nothing if it is sound."""
    answers = [str(row[0]) for row in db.exec_driver_sql("PRAGMA quick_check")]
    return [] if answers == ["ok"] else answers
