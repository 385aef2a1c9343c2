"""Reads are snapshots that finish once begun, whatever becomes of their caller."""

import asyncio
import threading

import pytest
from sqlalchemy import Connection

from storage import Store
from storage.database import READERS
from storage.errors import StorageError
from tests.storage.worlds import user


async def test_a_cancelled_read_finishes_and_its_connection_stays_in_use(store: Store) -> None:
    reader = store._database.reader
    entered, finished = threading.Event(), []

    def slow(db: Connection) -> None:
        entered.set()
        db.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT sum(i) FROM n"
        )
        finished.append(True)

    for _ in range(8):
        entered.clear()
        reading = asyncio.create_task(reader.read(slow))
        while not entered.is_set():
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await store.close()
    assert len(finished) == 8


async def test_a_failing_read_is_told_though_its_caller_has_gone(store: Store) -> None:
    with pytest.raises(StorageError, match="SQLITE_ERROR"):
        await store._database.reader.read(lambda db: db.exec_driver_sql("SELECT * FROM birds"))
    reading = asyncio.create_task(store.conversation("conv_none"))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_reads_do_not_wait_for_a_write(store: Store) -> None:
    await store.create_conversation("conv_1")
    release = threading.Event()
    writing = asyncio.create_task(store._database.writer.submit(lambda _db: release.wait(10)))
    assert len(await store.conversations()) == 1
    release.set()
    assert await writing, "the read had to wait until the write gave up"


async def test_many_readers_share_a_few_connections(store: Store) -> None:
    await store.create_conversation("conv_1", items=[user("a")])
    found = await asyncio.gather(*(store.items("conv_1") for _ in range(100)))
    assert {len(items) for items in found} == {1}


async def test_searches_leave_room_for_other_reads(store: Store) -> None:
    reader, may_end = store._database.reader, threading.Event()
    searching = [asyncio.create_task(reader.search(lambda _db: may_end.wait())) for _ in range(READERS)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            assert await store.conversations() == []
    finally:
        may_end.set()
    assert await asyncio.gather(*searching) == [True] * READERS
    assert await store.conversations(search="nothing") == []
