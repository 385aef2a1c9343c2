"""Idempotency keys are known again, but neither they nor what was sent with them can be read from the database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from storage import Store, upgrade
from storage.database import migrating_engine
from storage.errors import IdempotencyKeyReused, ResponseNotFound
from storage.sealed_keys import key_sha256, sealed_body
from tests.storage.worlds import new_turn

KEY, BODY = "canary-key-7f3a", "canary-body-7f3a"


def readable_in(database: Path) -> set[str]:
    """Return which of key and body are in any file of the database; backups are the user's own."""
    files = [path.read_bytes() for path in database.parent.iterdir() if "backup" not in path.name]
    return {secret for secret in (KEY, BODY) if any(secret.encode() in file for file in files)}


def make_0001(database: Path, keys: list[str]) -> None:
    """Make a database of the first schema, in which these keys are left of deleted responses."""
    engine, config = migrating_engine(database), upgrade._config()
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "0001")
    engine.dispose()
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = [(key, BODY, f"resp_{n}", 0) for n, key in enumerate(keys)]
        connection.executemany("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?)", rows)


async def test_neither_a_key_nor_the_hash_of_its_request_can_be_read(store: Store, database: Path) -> None:
    await store.begin_turn(new_turn("a", None, idempotency_key=KEY, body_sha256=BODY))
    assert await store.response_under_key(KEY, BODY) is not None
    assert not readable_in(database)


def test_one_request_under_two_keys_does_not_look_the_same() -> None:
    assert sealed_body("one", BODY) != sealed_body("two", BODY)


async def test_an_upgrade_knows_the_old_keys_and_seals_them(database: Path) -> None:
    keys = [KEY, key_sha256(KEY)]
    make_0001(database, keys)
    assert readable_in(database) == {KEY, BODY}
    store = await Store.open(database)
    for n, key in enumerate(keys):
        with pytest.raises(ResponseNotFound, match=f"resp_{n}"):
            await store.response_under_key(key, BODY)
        with pytest.raises(IdempotencyKeyReused):
            await store.response_under_key(key, "another body")
    assert await store.response_under_key("another key", BODY) is None
    await store.close()
    assert not readable_in(database)
