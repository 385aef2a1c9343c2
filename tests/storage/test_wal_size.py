"""The WAL stays small, whoever reads."""

import asyncio
from pathlib import Path

import pytest

from storage import Store, writer
from tests.storage.worlds import user

STEP_BYTES = 100_000


@pytest.fixture(autouse=True)
def small_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAL_STEP_BYTES", STEP_BYTES)
    store._database.writer._wal_limit_bytes = STEP_BYTES


async def sizes_while_writing(store: Store, database: Path) -> list[int]:
    """Bytes of the WAL after each of some writes, which are three times a step together."""
    sizes = []
    for _ in range(15):
        position = len(await store.items("conv_1"))
        await store.append_items("conv_1", [user(f"{position}", "x" * 20_000)])
        sizes.append(database.with_name("chats.db-wal").stat().st_size)
    return sizes


async def test_it_is_emptied_though_one_read_begins_before_the_other_ends(store: Store, database: Path) -> None:
    await store.create_conversation("conv_1")

    async def read_on() -> None:
        while True:
            await store.conversations(search="nothing like this")

    reading = [asyncio.create_task(read_on()) for _ in range(2)]
    assert max(await sizes_while_writing(store, database)) < 2 * STEP_BYTES
    for reader in reading:
        reader.cancel()
    await asyncio.gather(*reading, return_exceptions=True)


async def test_a_long_read_delays_that_until_it_has_ended(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WAL_WAIT_MS", 10)
    await store.create_conversation("conv_1")
    with store._database.reader._engine.connect() as reading:
        reading.exec_driver_sql("SELECT * FROM conversations")
        assert max(await sizes_while_writing(store, database)) > 2 * STEP_BYTES
    assert (await sizes_while_writing(store, database))[-1] < 2 * STEP_BYTES
