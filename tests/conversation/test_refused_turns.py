"""Turns that are refused, before anything of them is stored."""

import asyncio

import pytest

from chatbot.conversation.stream import ResponseLog
from chatbot.conversation.turn import Turns
from chatbot.engine.room import Room
from chatbot.protocol.errors import Conflict, InvalidRequest, NotFound, Overloaded, ProtocolError
from storage.records import NewItem, NewTurn, Response
from storage.store import Store
from tests.fake_engine import FakeEngine

from .turns import end_of, say, transcript


async def test_the_same_key_with_other_words_is_refused(turns: Turns) -> None:
    await turns.create(say("hi"), "key-1")
    with pytest.raises(Conflict) as caught:
        await turns.create(say("bye"), "key-1")
    assert caught.value.code == "idempotency_key_reused"


async def test_a_turn_that_finds_the_engine_full_is_refused_and_can_be_sent_again(
    turns: Turns, store: Store, engine: FakeEngine
) -> None:
    await store.create_conversation("conv_1")
    engine.room, spacious = Room(0, 0), engine.room
    with pytest.raises(Overloaded) as caught:
        await turns.create(say("hi", conversation="conv_1"), "key")
    assert caught.value.code == "engine_busy"
    assert await transcript(store, "conv_1") == []
    engine.room = spacious
    said = await end_of(await turns.create(say("hi", conversation="conv_1"), "key"))
    engine.room = Room(0, 0)  # what is stored is not asked for again
    assert (await turns.create(say("hi", conversation="conv_1"), "key")).response == said


async def test_of_turns_that_come_together_no_more_are_stored_than_the_engine_takes(
    turns: Turns, engine: FakeEngine
) -> None:
    engine.room, engine.free = Room(1, max_waiting=1), 0
    asked = await asyncio.gather(*(turns.create(say("hi")) for _ in range(5)), return_exceptions=True)
    begun = [each for each in asked if isinstance(each, ResponseLog)]
    assert [type(each) for each in asked[2:]] == [Overloaded] * 3
    engine.gate.set()
    assert [(await end_of(log)).state for log in begun] == ["completed", "completed"]
    assert (await end_of(await turns.create(say("hi")))).state == "completed"


async def test_a_message_that_can_never_fit_is_refused_and_not_stored(turns: Turns, store: Store) -> None:
    await store.create_conversation("conv_1")
    with pytest.raises(InvalidRequest) as caught:
        await turns.create(say("w " * 2000, conversation="conv_1"))
    assert caught.value.code == "context_length_exceeded"
    assert await transcript(store, "conv_1") == []


async def test_a_turn_that_stored_instructions_leave_no_room_for_is_refused_and_not_stored(
    turns: Turns, store: Store
) -> None:
    await store.create_conversation("conv_1")
    (first,) = await store.append_items("conv_1", [NewItem("msg_0", "user", "hi")])
    long = [NewItem(f"msg_{n}", "system", "w " * 600) for n in (1, 2)]
    await store.append_items("conv_1", long)
    with pytest.raises(InvalidRequest) as caught:
        await turns.create(say("hello", conversation="conv_1"))
    assert caught.value.code == "context_length_exceeded"
    assert len(await transcript(store, "conv_1")) == 3
    beside = await turns.create(say("hello", conversation="conv_1", parent_item_id=first.id))
    assert (await end_of(beside)).state == "completed"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"conversation": "conv_none"}, 404, "conversation_not_found"),
        ({"previous_response_id": "resp_none"}, 400, "previous_response_not_found"),
        ({"parent_item_id": "msg_none", "conversation": "conv_1"}, 404, "item_not_found"),
        ({"model": "pirrate"}, 404, "model_not_found"),
    ],
)
async def test_unknown_names_are_told_apart(
    turns: Turns, store: Store, fields: dict[str, str], status: int, code: str
) -> None:
    await store.create_conversation("conv_1")
    with pytest.raises(ProtocolError) as caught:
        await turns.create(say("hi", **fields))
    assert (caught.value.status, caught.value.code, caught.value.param) == (status, code, next(iter(fields)))


async def test_who_is_to_answer_in_a_conversation_and_was_removed_can_be_replaced(turns: Turns, store: Store) -> None:
    await store.create_conversation("conv_1", model="corsair")
    with pytest.raises(
        NotFound, match=r"'corsair'; known are fake; .* choose who does: /persona .*/conv_1 with"
    ) as caught:
        await turns.create(say("hi", conversation="conv_1"))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert (await end_of(await turns.create(say("hi", conversation="conv_1", model="fake")))).state == "completed"


async def test_a_previous_response_that_is_deleted_while_the_turn_begins_is_told_like_an_unknown_one(
    turns: Turns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    previous = await end_of(await turns.create(say("hi")))
    await end_of(await turns.create(say("more", previous_response_id=previous.id)))
    begin_turn = store.begin_turn

    async def deleted_before(turn: NewTurn) -> tuple[Response, bool]:
        await store.delete_response(previous.id)
        return await begin_turn(turn)

    monkeypatch.setattr(store, "begin_turn", deleted_before)
    with pytest.raises(InvalidRequest) as caught:
        await turns.create(say("again", previous_response_id=previous.id))
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_a_key_used_again_to_begin_at_the_root_is_refused(turns: Turns, store: Store) -> None:
    await store.create_conversation("conv_1")
    await end_of(await turns.create(say("hi", conversation="conv_1"), "key"))
    with pytest.raises(Conflict):
        await turns.create(say("hi", conversation="conv_1", parent_item_id=None), "key")
