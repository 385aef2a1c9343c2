"""What was deleted is in no file of the database, though the server still runs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from storage import Store, writer
from storage.database import BUSY_TIMEOUT_MS
from tests.storage.worlds import user, whole_turn

CANARY = "canary-7f3a"


def files_with_canary(database: Path) -> list[str]:
    found = (path for path in database.parent.iterdir() if CANARY.encode() in path.read_bytes())
    return sorted(path.name for path in found)


async def _whole_conversation(store: Store) -> None:
    await store.delete_conversation("conv_1")


async def _each_item(store: Store) -> None:
    for item in await store.items("conv_1"):
        await store.delete_item("conv_1", item.id)


@pytest.mark.parametrize("delete", [_whole_conversation, _each_item])
async def test_deleted_text_is_in_no_file(
    store: Store, database: Path, delete: Callable[[Store], Awaitable[None]]
) -> None:
    await store.create_conversation("conv_1", title="x")
    await store.create_conversation("conv_2", title="y", items=[user("kept")])
    long_text = f"{CANARY} " * 2_000
    for name in ("a", "b"):
        await whole_turn(store, name, inputs=(user(name, long_text), user(f"{name}2", CANARY)))
    assert files_with_canary(database)
    await delete(store)
    assert files_with_canary(database) == []
    assert database.with_name("chats.db-wal").stat().st_size == 0
    assert len(await store.items("conv_2")) == 1


@pytest.mark.parametrize("erases", ["soon", "now"])
async def test_a_hidden_conversation_is_erased_with_its_response(
    store: Store, database: Path, erases: Literal["soon", "now"]
) -> None:
    await whole_turn(store, "a", None, inputs=(user("a", CANARY),))
    await store.delete_response("resp_a", erases=erases)
    assert files_with_canary(database) == []


async def test_a_reader_in_the_way_delays_the_erasing_to_the_next_write(store: Store, database: Path) -> None:
    await store.create_conversation("conv_1", title=CANARY)
    with store._database.reader._engine.connect() as reading:
        reading.exec_driver_sql("SELECT * FROM conversations")
        await store.delete_conversation("conv_1")
        assert files_with_canary(database)
    await store.create_conversation("conv_2")
    assert files_with_canary(database) == []


async def test_a_reader_in_the_way_of_an_erasing_holds_no_write_up(store: Store) -> None:
    await store.create_conversation("conv_1", title=CANARY)
    with store._database.reader._engine.connect() as reading:
        reading.exec_driver_sql("SELECT * FROM conversations")
        async with asyncio.timeout(BUSY_TIMEOUT_MS / 1000):
            await store.delete_conversation("conv_1")
            for n in range(5):
                await store.create_conversation(f"conv_new_{n}")


async def test_what_is_to_be_erased_soon_waits_for_no_reader(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ERASE_WAIT_MS", 10_000)
    await whole_turn(store, "a", None)
    with store._database.reader._engine.connect() as reading:
        reading.exec_driver_sql("SELECT * FROM conversations")
        async with asyncio.timeout(5):
            await store.delete_response("resp_a", erases="soon")


async def test_what_a_reader_held_up_is_erased_without_a_further_write(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ERASE_RETRY_S", 0.01)
    await store.create_conversation("conv_1", title=CANARY)
    with store._database.reader._engine.connect() as reading:
        reading.exec_driver_sql("SELECT * FROM conversations")
        await store.delete_conversation("conv_1")
    async with asyncio.timeout(5):
        while files_with_canary(database):
            await asyncio.sleep(0)
