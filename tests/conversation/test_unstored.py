"""Replies that are not to be stored."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatbot.conversation.turn import Turns
from chatbot.engine.base import EngineError
from chatbot.protocol.errors import Conflict, NotFound, ProtocolError
from storage.errors import ConversationNotFound, StorageFull
from storage.store import Store
from tests.fake_engine import FakeEngine

from .turns import end_of, say


async def test_what_is_not_to_be_stored_is_gone_when_it_ends(turns: Turns, engine: FakeEngine) -> None:
    settled = await end_of(await turns.create(say("secret", store=False)))
    await turns.drain(1)
    with pytest.raises(NotFound):
        await turns.attach(settled.id)
    assert engine.forgotten == [settled.conversation_id]


async def test_the_key_of_what_is_not_to_be_stored_guards_it_while_it_runs(turns: Turns, engine: FakeEngine) -> None:
    request = say("secret", store=False)
    for run in range(3):
        engine.gate, engine.free = asyncio.Event(), 0
        first = await turns.create(request, "key")
        assert await turns.create(request, "key") is first
        engine.gate.set()
        assert (await end_of(first)).text == "you said: secret"
        while turns._tasks:
            await asyncio.wait(turns._tasks)
        assert len(engine.requests) == run + 1
    with pytest.raises(Conflict):
        await turns.create(say("something else", store=False), "key")


async def test_what_is_not_to_be_stored_is_deleted_though_the_engine_fails_to_forget_it(
    turns: Turns, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(session: str) -> None:
        raise EngineError("broken")

    monkeypatch.setattr(engine, "forget", failing)
    settled = await end_of(await turns.create(say("secret", store=False)))
    await turns.drain(1)
    with pytest.raises(NotFound):
        await turns.attach(settled.id)


@pytest.mark.parametrize("name", ["previous_response_id", "conversation"])
async def test_nobody_continues_what_is_not_to_be_stored_and_keeps_it_from_being_deleted(
    turns: Turns, store: Store, engine: FakeEngine, name: str
) -> None:
    engine.free = 1
    unstored = (await turns.create(say("secret", store=False))).response
    place = {"previous_response_id": unstored.id, "conversation": unstored.conversation_id}[name]
    with pytest.raises(ProtocolError, match="made with store: false") as caught:
        await turns.create(say("go on", **{name: place}))
    assert (caught.value.code, caught.value.param) == (f"{name.removesuffix('_id')}_not_found", name)
    engine.gate.set()
    await turns.drain(5)
    with pytest.raises(ConversationNotFound):
        await store.conversation(unstored.conversation_id)


async def test_what_is_not_to_be_stored_is_gone_once_a_full_disk_has_room(
    turns: Turns, store: Store, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, finish, delete = asyncio.Event(), store.finish_response, store.delete_response

    def with_room(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def writing(*args: Any, **kwargs: Any) -> Any:
            if not room.is_set():
                raise StorageFull("full")
            return await write(*args, **kwargs)

        return writing

    monkeypatch.setattr(store, "finish_response", with_room(finish))
    monkeypatch.setattr(store, "delete_response", with_room(delete))
    monkeypatch.setattr("chatbot.conversation.reply._SAVE_RETRY_S", (0.01,))
    monkeypatch.setattr("chatbot.conversation.late.RETRY_S", 0.01)
    told = await end_of(await turns.create(say("secret", store=False)))
    while turns._tasks:
        await asyncio.wait(turns._tasks)
    assert engine.forgotten == [told.conversation_id]
    room.set()
    while turns._late.find(told.id):
        await asyncio.sleep(0.01)
    with pytest.raises(NotFound):
        await turns.attach(told.id)


async def test_the_reply_of_who_went_away_is_stopped_if_nobody_else_can_read_it(
    turns: Turns, store: Store, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.free = 0
    may_go_on, begin_turn = asyncio.Event(), store.begin_turn

    async def slow(*args: Any) -> Any:
        await may_go_on.wait()
        return await begin_turn(*args)

    monkeypatch.setattr(store, "begin_turn", slow)
    creating = asyncio.create_task(turns.create(say("secret", store=False)))
    while not turns._tasks:
        await asyncio.sleep(0)
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    may_go_on.set()
    await asyncio.wait_for(turns.drain(10), 10)
    assert turns.running_count == 0
    assert len(engine.forgotten) == 1
