"""Bring a database to the newest schema, or refuse it untouched.

An existing database is backed up first; the upgrade is one transaction, committed only if no row was lost.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage.backup import back_up
from storage.database import migrating_engine
from storage.errors import StorageForeign, StorageNewer
from storage.kept_rows import KeptRows, require_sound_references

SCRIPTS: Final = "storage:migrations"
TABLES: Final = {"alembic_version", "change_counter", "conversations", "items", "responses"}
"""Tables of every revision, by which a database is known as ours, be it newer; other programs have some of them."""


def upgrade(database: Path) -> bool:
    """Apply the revisions that the database does not have yet; return whether there were any."""
    revision = current_revision(database)
    script = ScriptDirectory.from_config(_config())
    if revision == script.get_current_head():
        return False
    if revision is not None:
        _require_known(database, revision, script.get_current_head())
        back_up(database, revision)
    engine = migrating_engine(database)
    try:
        with engine.begin() as connection:
            _apply(connection)
    finally:
        engine.dispose()
    return True


def known_revisions() -> set[str]:
    """Revisions that this program can upgrade from, and the newest."""
    return {entry.revision for entry in ScriptDirectory.from_config(_config()).walk_revisions()}


def current_revision(database: Path) -> str | None:
    """Revision of the schema in the file, None if the file is empty; opened read-only."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if not tables:
            return None
        if not tables >= TABLES:
            raise StorageForeign(
                f"{database}: expected a chatbot database, but it holds other tables; choose another path"
            )
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def require_ours(database: Path) -> None:
    """Raise StorageForeign or StorageNewer unless the file is a database that this program can use."""
    revision = current_revision(database)
    if revision is None:
        raise StorageForeign(f"{database}: expected a chatbot database, but it is empty; choose another file")
    _require_known(database, revision, ScriptDirectory.from_config(_config()).get_current_head())


def _require_known(database: Path, revision: str, newest: str | None) -> None:
    if revision not in known_revisions():
        raise StorageNewer(
            f"{database}: expected schema {newest} or older, but it has {revision},"
            " which a newer version of chatbot wrote; update chatbot"
        )


def _apply(db: Connection) -> None:
    before = KeptRows.measure(db)
    config = _config()
    config.attributes["connection"] = db
    command.upgrade(config, "head")
    require_sound_references(db)
    before.require_same(KeptRows.measure(db))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    return config
