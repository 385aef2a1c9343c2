"""Engines of one database file: one connection that writes and checkpoints, a few that can only read.

SQLite before 3.51.3 can corrupt a WAL database when two connections write or checkpoint at once (the
wal-reset bug), so the writer's is the only connection that does either.
"""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event

from storage.folding import fold_stored

READERS: Final = 4
BUSY_TIMEOUT_MS: Final = 5_000
JOURNAL_SIZE_LIMIT_BYTES: Final = 64 * 1024 * 1024
WRITER_CACHE_KIB: Final = 64 * 1024
"""At most, and while it is needed: with SQLite's 2 MiB the random ids of a conversation of 100,000 messages were read
again and again, and every write waited twice as long for one that imports or deletes it."""

_COMMON_PRAGMAS: Final = (
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
)
_WRITER_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    f"journal_size_limit={JOURNAL_SIZE_LIMIT_BYTES}",
    f"cache_size=-{WRITER_CACHE_KIB}",
    "wal_autocheckpoint=1000",
)
_READER_PRAGMAS: Final = ("foreign_keys=ON", "query_only=ON", "wal_autocheckpoint=0")


def wal_of(database: Path) -> Path:
    """Return the file with what was committed and is not in the database yet."""
    return database.with_name(f"{database.name}-wal")


class _Connection(sqlite3.Connection):
    """One that knows `fold`, and reads a byte that is not UTF-8 as U+FFFD: it costs a letter, not the conversation."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.text_factory = partial(str, encoding="utf-8", errors="replace")
        self.create_function("fold", 1, fold_stored, deterministic=True)


def writer_engine(path: Path) -> Engine:
    """Engine with exactly one connection; each transaction takes the write lock when it begins."""
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(path)), **_options(1))
    _prepare(engine, ("foreign_keys=ON", *_WRITER_PRAGMAS), "BEGIN IMMEDIATE")
    return engine


def migrating_engine(path: Path) -> Engine:
    """The writer's engine with foreign keys OFF: rebuilding a table would cascade into its children."""
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(path)), **_options(1))
    _prepare(engine, ("foreign_keys=OFF", *_WRITER_PRAGMAS), "BEGIN IMMEDIATE")
    return engine


def reader_engine(path: Path) -> Engine:
    """Engine of a few connections that refuse to write and never checkpoint."""
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(path)), **_options(READERS))
    _prepare(engine, _READER_PRAGMAS, "BEGIN")
    return engine


def _options(connections: int) -> dict[str, Any]:
    return {
        # The driver must never begin by itself: it would do so late, and deferred.
        "connect_args": {"isolation_level": None, "check_same_thread": False, "factory": _Connection},
        "pool_size": connections,
        "max_overflow": 0,
        # Parameters are what people wrote; they belong in no log and no traceback.
        "hide_parameters": True,
    }


def _prepare(engine: Engine, pragmas: tuple[str, ...], begin: str) -> None:
    def set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (*_COMMON_PRAGMAS, *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin_explicitly(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", begin_explicitly)
