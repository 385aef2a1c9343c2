import asyncio

from hypothesis import given
from hypothesis import strategies as st

from chatbot.conversation.stream import ResponseLog
from chatbot.protocol import events
from chatbot.protocol.events import Event
from storage.records import INTERRUPTED
from tests.protocol.test_events import settled


async def read(log: ResponseLog, starting_after: int = -1) -> list[Event]:
    return [event async for event in log.events(starting_after)]


def test_who_listens_hears_once_the_last_reader_has_left() -> None:
    heard: list[str] = []
    log = ResponseLog(settled([], "in_progress"), lambda: heard.append("unread"))
    with log.reading():
        with log.reading():
            pass
        assert heard == []
    assert heard == ["unread"]


def new_log() -> ResponseLog:
    return ResponseLog(settled([], "in_progress"))


@given(st.lists(st.text(min_size=1, max_size=4), max_size=6), st.integers(-1, 12))
def test_a_live_reader_a_late_one_and_one_after_a_restart_see_the_same(pieces: list[str], seen: int) -> None:
    async def scenario() -> None:
        log = new_log()
        live = asyncio.create_task(read(log))
        log.begin({})
        for piece in pieces:
            await asyncio.sleep(0)
            log.add(piece)
        end = settled(pieces)
        log.close(end)
        whole = await live
        assert whole == await read(log) == await read(ResponseLog.settled(end))
        assert await read(log, seen) == events.replay(end, seen)

    asyncio.run(scenario())


async def test_a_live_reader_from_beyond_the_end_gets_the_end() -> None:
    log = new_log()
    live = asyncio.create_task(read(log, 50))
    log.begin({})
    await asyncio.sleep(0)
    log.close(settled([]))
    assert [event["type"] for event in await live] == ["response.completed"]


async def test_a_reader_in_the_middle_of_what_a_stop_cuts_off_gets_one_end() -> None:
    log = new_log()
    slow = log.events()
    await anext(slow)
    log.begin({})
    log.add("x")
    log.close(settled(["x"], "incomplete", incomplete_reason=INTERRUPTED))
    assert [event["sequence_number"] async for event in slow] == list(range(1, 9))


async def test_the_acknowledgement_can_be_read_before_anything_else_happens() -> None:
    log = new_log()
    first = await anext(log.events())
    assert first["type"] == "response.created"


async def test_a_reader_that_stands_still_does_not_hold_up_the_others() -> None:
    log = new_log()
    slow = log.events()
    await anext(slow)
    log.begin({})
    log.add("x")
    log.close(settled(["x"]))
    assert len(await read(log)) == 9
    assert len([event async for event in slow]) == 8


async def test_waiting_for_the_end_gives_the_settled_response() -> None:
    log = new_log()
    waiting = asyncio.create_task(log.wait_closed())
    log.begin({})
    end = settled([])
    log.close(end)
    assert await waiting is end


async def test_a_reply_that_fails_before_it_begins_still_has_every_event() -> None:
    log = new_log()
    log.close(settled([], "failed", error_code="x", error_message="y"))
    numbers = [event["sequence_number"] for event in await read(log)]
    assert numbers == list(range(8))
