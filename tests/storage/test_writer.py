"""Group commit: acknowledged only after COMMIT, one failure takes no other with it, fatal errors stop everything."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from storage import Store, writer
from storage.errors import (
    AlreadyExists,
    ConversationNotFound,
    StorageBroken,
    StorageBusy,
    StorageClosed,
    StorageFull,
)
from storage.writer import Writer
from tests.storage.worlds import content, new_turn, user


def writer_of(store: Store) -> Writer:
    return store._database.writer


def stored_ids(database: Path) -> set[str]:
    """Conversations as another process would see them now."""
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    found = {name for (name,) in connection.execute("SELECT id FROM conversations")}
    connection.close()
    return found


async def hold(store: Store) -> Callable[[], None]:
    """Keep the writer inside a transaction until the returned function is called."""
    entered, release = threading.Event(), threading.Event()

    def wait(_db: Connection) -> None:
        entered.set()
        assert release.wait(10)

    task = asyncio.create_task(writer_of(store).submit(wait))
    assert await asyncio.to_thread(entered.wait, 10)

    def let_go() -> None:
        release.set()
        task.add_done_callback(lambda done: done.result())

    return let_go


async def test_an_acknowledged_row_is_visible_to_everyone(store: Store, database: Path) -> None:
    await store.create_conversation("conv_1")
    assert stored_ids(database) == {"conv_1"}


async def test_nothing_is_acknowledged_before_commit(store: Store, database: Path) -> None:
    let_go = await hold(store)
    creating = asyncio.create_task(store.create_conversation("conv_1"))
    await asyncio.sleep(0.05)
    assert not creating.done()
    assert stored_ids(database) == set()
    let_go()
    await creating
    assert stored_ids(database) == {"conv_1"}


async def test_what_waits_goes_into_one_transaction(store: Store) -> None:
    let_go = await hold(store)
    threads_and_commits: list[int] = []

    def count(db: Connection) -> None:
        threads_and_commits.append(db.exec_driver_sql("PRAGMA data_version").scalar_one())

    transactions = 0
    commit = writer_of(store)._commit

    def counted(batch: list[writer._Operation]) -> list[writer._Outcome]:
        nonlocal transactions
        transactions += 1
        return list(commit(batch))

    writer_of(store)._commit = counted  # type: ignore[assignment, method-assign]
    waiting = [asyncio.create_task(writer_of(store).submit(count)) for _ in range(50)]
    await asyncio.sleep(0)
    let_go()
    await asyncio.gather(*waiting)
    assert (len(threads_and_commits), transactions) == (50, 1)


async def test_a_failing_operation_takes_no_other_with_it(store: Store) -> None:
    await store.create_conversation("conv_taken")

    def create_then_fail(db: Connection) -> None:
        db.exec_driver_sql("UPDATE conversations SET title = 'half done'")
        raise KeyError("a bug in an operation")

    let_go = await hold(store)
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(store.create_conversation("conv_1")),
        asyncio.create_task(store.create_conversation("conv_taken")),
        asyncio.create_task(store.append_items("conv_none", [user("a")])),
        asyncio.create_task(writer_of(store).submit(create_then_fail)),
        asyncio.create_task(store.create_conversation("conv_2")),
    ]
    await asyncio.sleep(0)
    let_go()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result).__name__ for result in results] == [
        "Conversation",
        AlreadyExists.__name__,
        ConversationNotFound.__name__,
        "KeyError",
        "Conversation",
    ]
    assert {found.id: found.title for found in await store.conversations()} == {
        "conv_1": None,
        "conv_2": None,
        "conv_taken": None,
    }


async def test_a_cancelled_caller_leaves_a_whole_turn(store: Store) -> None:
    await store.create_conversation("conv_1")
    let_go = await hold(store)
    turns = [new_turn(str(n), idempotency_key=f"key {n}", body_sha256="body") for n in range(20)]
    tasks = [asyncio.create_task(store.begin_turn(turn)) for turn in turns]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    let_go()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 10
    for turn in turns:
        response, is_new = await store.begin_turn(turn)
        assert (response.id, is_new) == (turn.response_id, False)
    assert len(await store.items("conv_1")) == 40


async def test_callers_cancelled_at_random_moments_leave_whole_turns(store: Store) -> None:
    await store.create_conversation("conv_1")
    for number in range(60):
        task = asyncio.create_task(store.begin_turn(new_turn(str(number), parent_item_id=None)))
        for _ in range(number % 7):
            await asyncio.sleep(0.000_3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    items = await store.items("conv_1")
    assert [item.role for item in items] == ["user", "assistant"] * (len(items) // 2)


async def test_the_queue_is_bounded_and_gives_room_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = writer_of(store)
    queue._room = asyncio.Semaphore(2)
    let_go = await hold(store)
    tasks = [asyncio.create_task(store.create_conversation(f"conv_{n}")) for n in range(9)]
    await asyncio.sleep(0.01)
    assert len(queue._pending) == 1
    let_go()
    await asyncio.gather(*tasks)
    assert len(await store.conversations()) == 9


async def test_close_commits_what_was_submitted_and_refuses_the_rest(database: Path) -> None:
    store = await Store.open(database)
    tasks = [asyncio.create_task(store.create_conversation(f"conv_{n}")) for n in range(30)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*tasks)
    assert len(stored_ids(database)) == 30
    with pytest.raises(StorageClosed):
        await store.create_conversation("conv_late")
    with pytest.raises(StorageClosed):
        await store.conversations()
    await store.close()


async def test_a_writer_whose_task_was_cancelled_refuses_instead_of_waiting(store: Store) -> None:
    let_go = await hold(store)
    waiting = asyncio.create_task(store.create_conversation("conv_1"))
    await asyncio.sleep(0)
    writer_of(store)._task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(StorageClosed):
        await store.create_conversation("conv_2")
    let_go()


async def test_a_full_disk_is_told_reads_go_on_and_writes_work_again(store: Store) -> None:
    await store.create_conversation("conv_1")

    def limit_pages(db: Connection) -> None:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
        db.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")

    await writer_of(store).submit(limit_pages)
    with pytest.raises(StorageFull, match="disk is full"):
        await store.append_items("conv_1", [user("big", "x" * 100_000)])
    assert store.broken is None
    assert await store.items("conv_1") == []
    await store.append_items("conv_1", [user("small")])

    await writer_of(store).submit(lambda db: db.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar_one())
    await store.append_items("conv_1", [user("big", "x" * 100_000)])
    assert len(await store.items("conv_1")) == 2


async def test_all_that_share_a_transaction_with_a_full_disk_are_told_so(store: Store) -> None:
    await writer_of(store).submit(lambda db: db.exec_driver_sql("PRAGMA max_page_count = 1").scalar_one())
    let_go = await hold(store)
    names = [f"conv_{n}" for n in range(200)]
    tasks = [asyncio.create_task(store.create_conversation(name, instructions="x" * 9_000)) for name in names]
    await asyncio.sleep(0)
    let_go()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {StorageFull}
    assert await store.conversations() == []


async def test_another_process_that_holds_the_database_makes_it_busy_not_broken(store: Store, database: Path) -> None:
    await writer_of(store).submit(lambda db: db.exec_driver_sql("PRAGMA busy_timeout = 50").scalar_one())
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusy):
        await store.create_conversation("conv_1")
    other.execute("ROLLBACK")
    other.close()
    await store.create_conversation("conv_1")


async def test_a_failing_disk_is_fatal_and_tells(store: Store) -> None:
    await store.create_conversation("conv_1")

    def fail(_db: Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise OperationalError("COMMIT", None, error)

    waiting = asyncio.create_task(store.wait_until_broken())
    with pytest.raises(StorageBroken, match="SQLITE_IOERR_FSYNC"):
        await writer_of(store).submit(fail)
    assert (await waiting) is store.broken
    with pytest.raises(StorageBroken, match="SQLITE_IOERR_FSYNC"):
        await store.create_conversation("conv_2")
    assert [found.id for found in await store.conversations()] == ["conv_1"]


def take_away(database: Path, how: str) -> None:
    if how == "deleted":
        database.unlink()
    elif how == "replaced":
        shutil.copy(database, copy := database.with_name("copy.db"))
        copy.replace(database)
    else:
        database.with_name(f"chats.db{how.removesuffix(' deleted')}").unlink()


@pytest.mark.parametrize("how", ["deleted", "replaced", "-wal deleted", ".lock deleted"])
async def test_a_file_that_is_no_longer_the_open_one_ends_all_acknowledgements(
    store: Store, database: Path, how: str
) -> None:
    await store.create_conversation("conv_1")
    take_away(database, how)
    with pytest.raises(StorageBroken, match="deleted" if "deleted" in how else "replaced"):
        await store.create_conversation("conv_2")
    with pytest.raises(StorageBroken):
        await store.create_conversation("conv_3")


async def test_nothing_is_written_beside_a_file_that_was_put_there(store: Store, database: Path) -> None:
    await store.create_conversation("conv_1")
    take_away(database, "replaced")
    wal = database.with_name("chats.db-wal")
    before = content(wal)
    with pytest.raises(StorageBroken):
        await store.create_conversation("conv_2")
    assert content(wal) == before


async def test_what_people_wrote_is_in_no_error(store: Store) -> None:
    await store.create_conversation("conv_1", title="canary")
    with pytest.raises(AlreadyExists) as caught:
        await store.create_conversation("conv_1", title="canary")
    cause: BaseException | None = caught.value
    while cause is not None:
        assert "canary" not in str(cause)
        cause = cause.__cause__ or cause.__context__
