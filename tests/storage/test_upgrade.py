"""Every schema reaches the newest one with all its rows, or stays as it was."""

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage import Store, upgrade
from storage.database import migrating_engine
from storage.errors import MigrationFailed, StorageBroken, StorageNewer, StorageReadOnly
from storage.schema import metadata
from tests.storage.worlds import content, damage_items, whole_turn

HEAD = ScriptDirectory.from_config(upgrade._config()).get_current_head()


async def make_old(database: Path) -> None:
    """A database with one conversation, whose next opening runs a migration."""
    store = await Store.open(database)
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await store.close()


def next_revision(monkeypatch: pytest.MonkeyPatch, change: Callable[[Connection], object]) -> None:
    """Pretend that the newest release adds one revision that makes this change."""

    class Script:
        def get_current_head(self) -> str:
            return "9999"

        def walk_revisions(self) -> list[object]:
            return [type("Revision", (), {"revision": name}) for name in ("9999", HEAD)]

    def run(config: object, _target: str) -> None:
        db: Connection = config.attributes["connection"]  # type: ignore[attr-defined]
        change(db)
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    monkeypatch.setattr(ScriptDirectory, "from_config", lambda _config: Script())
    monkeypatch.setattr(command, "upgrade", run)


def read(database: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


async def test_the_revisions_make_exactly_the_schema(database: Path) -> None:
    await (await Store.open(database)).close()
    engine = migrating_engine(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


async def test_a_new_database_and_one_that_is_up_to_date_need_no_backup(database: Path) -> None:
    await make_old(database)
    await (await Store.open(database)).close()
    assert list(database.parent.glob("*backup*")) == []


async def test_an_old_database_is_backed_up_then_upgraded(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_old(database)
    next_revision(monkeypatch, lambda db: db.exec_driver_sql("ALTER TABLE items ADD COLUMN mood TEXT"))
    store = await Store.open(database)
    assert (await store.response("resp_a")).text == "reply to a"
    await store.close()
    backup = database.with_name(f"chats.db.backup-{HEAD}")
    assert read(backup, "SELECT text FROM items ORDER BY position") == [("text of a",), ("reply to a",)]
    assert read(backup, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert read(database, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert list(database.parent.glob("*.partial")) == []


async def test_the_backup_goes_at_the_next_opening_that_needs_no_upgrade(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_old(database)
    next_revision(monkeypatch, lambda db: db.exec_driver_sql("ALTER TABLE items ADD COLUMN mood TEXT"))
    await (await Store.open(database)).close()
    database.with_name(f"chats.db.backup-{HEAD}.partial").touch()
    others = {database.with_name(name) for name in (f"other.db.backup-{HEAD}", "chats.db.backup-2026-11-27")}
    for path in others:
        path.touch()
    await (await Store.open(database)).close()
    assert set(database.parent.glob("*backup*")) == others


async def test_a_backup_that_fails_leaves_nothing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_old(database)
    next_revision(monkeypatch, lambda db: pytest.fail("upgraded without a backup"))
    damage_items(database)
    with pytest.raises(StorageBroken):
        await Store.open(database)
    assert list(database.parent.glob("*backup*")) == []


async def test_what_is_in_the_way_of_a_backup_is_told(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_old(database)
    next_revision(monkeypatch, lambda db: pytest.fail("upgraded without a backup"))
    database.with_name(f"chats.db.backup-{HEAD}.partial").mkdir()
    with pytest.raises(StorageReadOnly, match=r"partial: expected what can be written, but Is a directory"):
        await Store.open(database)


async def test_the_backup_of_a_database_that_is_damaged_stays(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_old(database)
    next_revision(monkeypatch, lambda db: db.exec_driver_sql("ALTER TABLE items ADD COLUMN mood TEXT"))
    await (await Store.open(database)).close()
    damage_items(database)
    with pytest.raises(StorageBroken, match="damaged"):
        await Store.open(database)
    assert database.with_name(f"chats.db.backup-{HEAD}").exists()


async def test_rebuilding_a_table_keeps_its_children(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_old(database)

    def rebuild(db: Connection) -> None:
        db.exec_driver_sql("CREATE TABLE rebuilt AS SELECT * FROM conversations")
        db.exec_driver_sql("DROP TABLE conversations")
        db.exec_driver_sql("CREATE TABLE conversations (id VARCHAR PRIMARY KEY, title TEXT)")
        db.exec_driver_sql("INSERT INTO conversations SELECT id, title FROM rebuilt")
        db.exec_driver_sql("DROP TABLE rebuilt")

    next_revision(monkeypatch, rebuild)
    upgrade.upgrade(database)
    assert read(database, "SELECT count(*) FROM items") == [(2,)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("DELETE FROM response_inputs", "table response_inputs: expected 1 rows"),
        ("DROP TABLE response_inputs", "table response_inputs: expected 1 rows"),
        ("UPDATE items SET text = upper(text)", "every message unchanged"),
        ("UPDATE items SET parent_id = 'gone' WHERE parent_id IS NOT NULL", "sound references"),
    ],
)
async def test_an_upgrade_that_loses_anything_is_rolled_back(
    database: Path, monkeypatch: pytest.MonkeyPatch, damage: str, message: str
) -> None:
    await make_old(database)
    before = read(database, "SELECT * FROM items")

    def change(db: Connection) -> None:
        db.exec_driver_sql("CREATE TABLE left_behind (x)")
        db.exec_driver_sql(damage)

    next_revision(monkeypatch, change)
    with pytest.raises(MigrationFailed, match=message):
        await Store.open(database)
    assert read(database, "SELECT * FROM items") == before
    assert read(database, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert read(database, "SELECT name FROM sqlite_schema WHERE name = 'left_behind'") == []
    assert read(database, "SELECT count(*) FROM response_inputs") == [(1,)]


async def test_the_list_of_personas_goes_whatever_is_in_it(database: Path) -> None:
    engine, config = migrating_engine(database), upgrade._config()
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "0002")
        db.exec_driver_sql("INSERT INTO adapters VALUES ('pirate', 1, 'd', 'b', '/p', '{}')")
        db.exec_driver_sql("INSERT INTO conversations VALUES ('conv_1', 0, 'Sea', NULL, NULL, '{}', 1, 'msg_1', 1, 1)")
        text = "CAST(x'61ff' AS TEXT)"  # a byte that is not UTF-8 is no reason to stay with the old schema
        db.exec_driver_sql(f"INSERT INTO items VALUES ('msg_1', 'conv_1', NULL, 0, 'user', 'completed', {text}, 0)")
    engine.dispose()
    store = await Store.open(database)
    assert (await store.conversation("conv_1")).title == "Sea"
    assert [item.text for item in await store.items("conv_1")] == ["a\ufffd"]
    await store.close()
    assert read(database, "SELECT name FROM sqlite_schema WHERE name = 'adapters'") == []


async def test_a_newer_schema_is_refused_untouched(database: Path) -> None:
    await make_old(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '2042'")
        connection.commit()
    before = content(database)
    with pytest.raises(StorageNewer, match=r"2042.*update chatbot"):
        await Store.open(database)
    assert content(database) == before
    assert list(database.parent.glob("*backup*")) == []


async def test_an_upgrade_cut_off_in_the_middle_is_done_again(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_old(database)
    attempts = 0

    def fail_once(db: Connection) -> None:
        nonlocal attempts
        attempts += 1
        db.exec_driver_sql("ALTER TABLE items ADD COLUMN mood TEXT")
        if attempts == 1:
            raise KeyboardInterrupt

    next_revision(monkeypatch, fail_once)
    with pytest.raises(KeyboardInterrupt):
        upgrade.upgrade(database)
    upgrade.upgrade(database)
    assert read(database, "SELECT version_num FROM alembic_version") == [("9999",)]
