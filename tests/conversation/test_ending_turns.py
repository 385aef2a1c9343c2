"""How turns end otherwise than by their last token: cancelled, failed, deleted, or with the server."""

import asyncio
from functools import partial
from typing import Any

import pytest

from chatbot.conversation.turn import Turns
from chatbot.engine.base import GenerationFailed
from chatbot.protocol.errors import Unavailable
from storage.errors import ResponseNotFound, StorageBusy, StorageFull
from storage.records import NewTurn, Response
from storage.store import Store
from tests.fake_engine import FakeEngine

from .turns import end_of, say, transcript


async def test_cancel_stops_the_engine_and_keeps_the_text(turns: Turns, store: Store, engine: FakeEngine) -> None:
    engine.free = 2
    log = await turns.create(say("tell me more"))
    async for event in log.events():
        if event.get("delta") == " said:":
            break
    settled = await turns.cancel(log.response.id)
    assert (settled.state, settled.text) == ("cancelled", "you said:")
    assert engine.cancelled == 1
    assert (await transcript(store, settled.conversation_id))[-1] == ("assistant", "incomplete", "you said:")


async def test_cancelling_a_settled_reply_changes_nothing(turns: Turns) -> None:
    settled = await end_of(await turns.create(say("hi")))
    assert await turns.cancel(settled.id) == settled


async def test_a_cancel_that_comes_while_the_end_is_stored_waits_for_that_end(
    turns: Turns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_storing, may_store, finish = asyncio.Event(), asyncio.Event(), store.finish_response

    async def slow(*args: Any, **kwargs: Any) -> Response:
        is_storing.set()
        await may_store.wait()
        return await finish(*args, **kwargs)

    monkeypatch.setattr(store, "finish_response", slow)
    log = await turns.create(say("hi"))
    await is_storing.wait()
    stopping = asyncio.create_task(turns.cancel(log.response.id))
    await asyncio.sleep(0)
    may_store.set()
    async with asyncio.timeout(5):
        assert (await stopping).state == "completed"


async def test_a_reply_that_breaks_off_while_its_end_is_stored_tells_its_readers_and_is_not_waited_for(
    turns: Turns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken_off(*args: Any, **kwargs: Any) -> Response:
        raise asyncio.CancelledError

    monkeypatch.setattr(store, "finish_response", broken_off)
    told = await end_of(await turns.create(say("hi")))
    assert (told.state, told.error_code, told.text) == ("failed", "server_error", "you said: hi")
    assert turns.running_count == 0


async def test_a_cancel_that_comes_before_the_first_step_counts(turns: Turns, engine: FakeEngine) -> None:
    log = await turns.create(say("hi"))
    assert (await turns.cancel(log.response.id)).state == "cancelled"


async def test_a_failing_generation_ends_its_turn_and_no_other(turns: Turns, engine: FakeEngine) -> None:
    engine.reply = lambda request: ["so ", GenerationFailed("boom")]
    failed = await end_of(await turns.create(say("hi")))
    assert (failed.state, failed.text, failed.error_code) == ("failed", "so ", "generation_failed")
    assert "boom" not in (failed.error_message or "")
    engine.reply = lambda request: ["fine"]
    again = await turns.create(say("again", previous_response_id=failed.id))
    assert (await end_of(again)).text == "fine"


async def test_a_database_that_is_busy_for_a_moment_costs_no_reply(
    turns: Turns, store: Store, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter([StorageBusy("locked"), StorageFull("full")])
    finish = store.finish_response

    async def failing(*args: Any, **kwargs: Any) -> Response:
        for fault in faults:
            raise fault
        return await finish(*args, **kwargs)

    monkeypatch.setattr(store, "finish_response", failing)
    monkeypatch.setattr("chatbot.conversation.reply._SAVE_RETRY_S", (0.0, 0.0))
    assert (await end_of(await turns.create(say("hi")))).state == "completed"


async def test_an_end_that_could_not_be_stored_is_stored_once_there_is_room(
    turns: Turns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full = True
    finish = store.finish_response

    async def failing(*args: Any, **kwargs: Any) -> Response:
        if is_full:
            raise StorageFull("full")
        return await finish(*args, **kwargs)

    monkeypatch.setattr(store, "finish_response", failing)
    monkeypatch.setattr("chatbot.conversation.reply._SAVE_RETRY_S", (0.01,))
    monkeypatch.setattr("chatbot.conversation.late.RETRY_S", 0.01)
    told = await end_of(await turns.create(say("hi")))
    assert (told.state, told.error_code) == ("failed", "storage_full")
    is_full = False
    while (await store.response(told.id)).state != "completed":
        await asyncio.sleep(0.01)


async def test_a_reply_that_was_deleted_before_its_end_is_not_stored_later(
    turns: Turns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*args: Any, **kwargs: Any) -> Response:
        raise ResponseNotFound("gone")

    monkeypatch.setattr(store, "finish_response", gone)
    told = await end_of(await turns.create(say("hi")))
    assert (told.state, told.error_code, turns._late.find(told.id)) == ("failed", "response_not_found", None)


async def test_nothing_is_left_of_a_turn_that_ended(turns: Turns) -> None:
    for _ in range(3):
        await end_of(await turns.create(say("hi")))
    await turns.drain(1)
    assert (turns.running_count, dict(turns._lanes._locks), turns._lanes._places) == (0, {}, {})


async def test_a_turn_that_is_just_beginning_is_waited_for(turns: Turns) -> None:
    beginning = asyncio.create_task(turns.create(say("hi")))
    while not turns._tasks:
        await asyncio.sleep(0)
    await turns.drain(5)
    assert (await beginning).response.state == "completed"


async def test_a_stopping_server_waits_for_replies_and_refuses_new_ones(turns: Turns, engine: FakeEngine) -> None:
    engine.free = 1
    log = await turns.create(say("hi"))
    draining = asyncio.create_task(turns.drain(5))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await turns.create(say("late"))
    engine.gate.set()
    await draining
    assert log.response.state == "completed"


async def test_a_stopping_server_does_not_refuse_what_it_has_stored(turns: Turns, engine: FakeEngine) -> None:
    engine.free = 1
    log = await turns.create(say("hi"), "key")
    draining = asyncio.create_task(turns.drain(5))
    await asyncio.sleep(0)
    assert await turns.create(say("hi"), "key") is log
    engine.gate.set()
    await draining


async def test_what_is_not_done_in_time_is_marked_and_kept(turns: Turns, engine: FakeEngine) -> None:
    engine.free = 1
    log = await turns.create(say("hi"))
    async for event in log.events():
        if "delta" in event:
            break
    await turns.drain(0)
    assert (log.response.state, log.response.incomplete_reason, log.response.text) == (
        "incomplete",
        "server_restart",
        "you",
    )


async def test_a_stopping_server_waits_for_no_room_on_the_disk(
    turns: Turns, store: Store, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def failing(*args: Any, **kwargs: Any) -> Response:
        tried.set()
        raise StorageFull("full")

    monkeypatch.setattr(store, "finish_response", failing)
    ended = await turns.create(say("hi"))
    await tried.wait()
    engine.free = 1
    running = await turns.create(say("hi"))
    async with asyncio.timeout(5):
        await turns.drain(0)
    assert {ended.response.error_code, running.response.error_code} == {"storage_full"}
    assert set(await store.interrupt_unfinished()) == {ended.response.id, running.response.id}


async def test_a_caller_that_goes_away_leaves_no_turn_that_nobody_runs(
    turns: Turns, store: Store, engine: FakeEngine
) -> None:
    await store.create_conversation("conv_1")
    for delay in range(6):
        caller = asyncio.create_task(turns.create(say(f"hi {delay}", conversation="conv_1")))
        for _ in range(delay):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
    await turns.drain(5)
    assert await store.interrupt_unfinished() == []


async def test_a_reply_that_is_to_be_deleted_is_stopped_first(turns: Turns, store: Store, engine: FakeEngine) -> None:
    engine.free = 0
    await store.create_conversation("conv_1")
    kept = await turns.create(say("one", conversation="conv_1"))
    deleted = await turns.create(say("two", conversation="conv_1"))
    await turns.cancel_all("conv_1", deleted.response.output_item_id)
    assert (await end_of(deleted)).state == "cancelled"
    assert turns.running_in("conv_1") == [kept]
    engine.gate.set()
    assert (await end_of(kept)).state == "completed"


async def test_a_reply_can_be_followed_and_stopped_as_soon_as_its_turn_can_be_read(
    turns: Turns, store: Store, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers may see a commit before the one who asked for it hears of it."""
    await store.create_conversation("conv")
    begin_turn, is_stored, is_heard = store.begin_turn, asyncio.Event(), asyncio.Event()

    async def heard_late(turn: NewTurn) -> tuple[Response, bool]:
        begun = await begin_turn(turn)
        is_stored.set()
        await is_heard.wait()
        return begun

    monkeypatch.setattr(store, "begin_turn", heard_late)
    engine.free = 0
    saying = asyncio.create_task(turns.create(say("hi", conversation="conv")))
    await is_stored.wait()
    written_by = (await store.items("conv"))[-1].response_id
    assert written_by
    monkeypatch.setattr(store, "response", partial(pytest.fail, "asked for what is still being begun"))
    attaching = asyncio.create_task(turns.attach(written_by))
    stopping = asyncio.create_task(turns.cancel(written_by))
    is_heard.set()
    assert await attaching is await saying
    assert (await stopping).state == "cancelled"
