import asyncio
from typing import TypeVar

from chatbot.conversation.feed import CHANGED, MAX_UNREAD, Feed, Unread
from chatbot.conversation.stream import ResponseLog
from tests.protocol.test_events import settled

T = TypeVar("T")


async def waiting(changes: Unread[T]) -> list[T | None]:
    """Everything that can be told without waiting."""
    told: list[T | None] = []
    while True:
        following = asyncio.ensure_future(changes.next())
        await asyncio.sleep(0)
        if not following.done():
            following.cancel()
            return told
        told.append(following.result())


async def test_a_new_watcher_of_all_is_told_to_read_the_list_and_then_only_what_changes() -> None:
    feed = Feed()
    feed.changed("before")
    with feed.watch_all() as changes:
        assert await waiting(changes) == [None]
        feed.changed("a")
        assert await waiting(changes) == ["a"]


async def test_a_change_wakes_a_watcher_that_waits() -> None:
    with (feed := Feed()).watch_all() as changes:
        await changes.next()
        following = asyncio.create_task(changes.next())
        await asyncio.sleep(0)
        feed.changed("a")
        assert await following == "a"


async def test_changes_that_were_not_told_yet_are_one_each_in_the_order_of_the_last() -> None:
    with (feed := Feed()).watch_all() as changes:
        await changes.next()
        for name in "abaacab":
            feed.changed(name)
        assert await waiting(changes) == ["c", "a", "b"]


async def test_a_watcher_that_never_looks_keeps_a_bounded_number_and_then_reads_the_list_again() -> None:
    with (feed := Feed()).watch_all() as slow, feed.watch_all() as quick:
        await slow.next()
        await quick.next()
        for number in range(MAX_UNREAD + 10):
            feed.changed(f"conv_{number}")
            assert await waiting(quick) == [f"conv_{number}"]
        assert await waiting(slow) == [None, *(f"conv_{number}" for number in range(MAX_UNREAD + 1, MAX_UNREAD + 10))]


async def test_a_watcher_that_left_is_forgotten() -> None:
    feed = Feed()
    with feed.watch_all() as changes:
        await changes.next()
    feed.changed("a")
    assert await waiting(changes) == []


async def test_a_follower_is_told_of_each_reply_and_that_there_was_a_change_once() -> None:
    with (feed := Feed()).watch("conv_1") as unread:
        assert await waiting(unread) == [None]
        logs = [ResponseLog(settled([])) for _ in range(2)]
        for log in logs:
            feed.changed("conv_1")
            feed.begun(log)
            feed.changed("conv_1")
        feed.changed("conv_2")
        assert await waiting(unread) == [*logs, CHANGED]


async def test_a_follower_that_misses_replies_is_told_to_read_anew() -> None:
    with (feed := Feed()).watch("conv_1") as unread:
        await unread.next()
        for _ in range(MAX_UNREAD + 1):
            feed.begun(ResponseLog(settled([])))
        feed.changed("conv_1")
        assert await waiting(unread) == [None, CHANGED]
