import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest

from chatbot.conversation.stream import ResponseLog
from chatbot.conversation.turn import Turns
from chatbot.engine.base import GenerationFailed
from chatbot.engine.room import Room
from chatbot.protocol.errors import Conflict, InvalidRequest, NotFound, Overloaded, ProtocolError, Unavailable
from chatbot.protocol.requests import ResponseCreate, validate
from storage import items as stored_items
from storage.errors import StorageBusy, StorageFull
from storage.records import Item, NewItem, NewTurn, Response
from storage.store import Store
from tests.fake_engine import FakeEngine


def say(text: str, **fields: Any) -> ResponseCreate:
    return validate(ResponseCreate, {"input": text, **fields})


async def end_of(log: ResponseLog) -> Response:
    return await asyncio.wait_for(log.wait_closed(), 10)


async def transcript(store: Store, conversation_id: str) -> list[tuple[str, str, str]]:
    return [(item.role, item.status, item.text) for item in await store.items(conversation_id)]


async def test_the_users_words_are_durable_before_anything_is_generated(
    turns: Turns, store: Store, engine: FakeEngine
) -> None:
    engine.free = 0
    log = await turns.create(say("hi"))
    assert await transcript(store, log.response.conversation_id) == [
        ("user", "completed", "hi"),
        ("assistant", "in_progress", ""),
    ]
    engine.gate.set()
    assert (await end_of(log)).text == "you said: hi"


async def test_each_turn_sees_the_ones_before_it(turns: Turns, store: Store, engine: FakeEngine) -> None:
    first = await end_of(await turns.create(say("my name is Mira")))
    await end_of(await turns.create(say("who am I?", previous_response_id=first.id)))
    seen = [(message.role, message.text) for message in engine.requests[-1].messages]
    assert seen == [
        ("system", "be kind"),
        ("user", "my name is Mira"),
        ("assistant", "you said: my name is Mira"),
        ("user", "who am I?"),
    ]


async def test_what_the_model_saw_is_stored_with_the_response(turns: Turns, store: Store) -> None:
    settled = await end_of(await turns.create(say("hi")))
    context = (await store.response(settled.id)).context
    assert context is not None
    assert context["kept"] == list(settled.input_item_ids)
    assert context["tokens"] == 5


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


async def test_a_cancel_that_comes_before_the_first_step_counts(turns: Turns, engine: FakeEngine) -> None:
    log = await turns.create(say("hi"))
    assert (await turns.cancel(log.response.id)).state == "cancelled"


async def test_the_same_key_gives_the_same_response_and_one_generation(turns: Turns, engine: FakeEngine) -> None:
    logs = await asyncio.gather(*(turns.create(say("hi"), "key-1") for _ in range(10)))
    ends = [await end_of(log) for log in logs]
    assert len({end.id for end in ends}) == 1
    assert len(engine.requests) == 1
    again = await turns.create(say("hi"), "key-1")
    assert again.response.id == ends[0].id


async def test_the_same_key_with_other_words_is_refused(turns: Turns) -> None:
    await turns.create(say("hi"), "key-1")
    with pytest.raises(Conflict) as caught:
        await turns.create(say("bye"), "key-1")
    assert caught.value.code == "idempotency_key_reused"


async def test_turns_of_one_conversation_queue_and_too_many_are_refused(
    turns: Turns, store: Store, engine: FakeEngine
) -> None:
    await store.create_conversation("conv_1")
    engine.free = 0
    first = await turns.create(say("one", conversation="conv_1"))
    second = await turns.create(say("two", conversation="conv_1"), "key-2")
    assert turns.queue_position(second.response.id) == 1
    with pytest.raises(Conflict) as caught:
        await turns.create(say("three", conversation="conv_1"))
    assert caught.value.code == "conversation_busy"
    retried = await turns.create(say("two", conversation="conv_1"), "key-2")
    assert retried is second
    engine.gate.set()
    await end_of(first)
    await end_of(second)
    assert [text for _, _, text in await transcript(store, "conv_1")] == [
        "one",
        "you said: one",
        "two",
        "you said: two",
    ]


async def test_a_message_that_is_deleted_while_a_reply_begins_is_not_in_its_prompt(
    turns: Turns, store: Store, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.reply = lambda request: ["fine"]
    await store.create_conversation("conv_1")
    secret = await end_of(await turns.create(say("my pin is 4711", conversation="conv_1")))
    read_path = store.path

    async def deleted_after_reading(*args: Any) -> Any:
        history = await read_path(*args)
        monkeypatch.setattr(store, "path", read_path)
        await store.delete_item("conv_1", secret.input_item_ids[0])
        return history

    monkeypatch.setattr(store, "path", deleted_after_reading)
    assert (await end_of(await turns.create(say("hi", conversation="conv_1")))).state == "completed"
    assert [message.text for message in engine.requests[-1].messages] == ["be kind", "fine", "hi"]


async def test_what_has_left_the_window_is_recalled_until_it_is_deleted(
    turns: Turns, store: Store, engine: FakeEngine
) -> None:
    engine.reply = lambda request: ["fine"]
    await store.create_conversation("conv_1")
    told = await end_of(await turns.create(say("my boat is called Wanda", conversation="conv_1")))
    for _ in range(12):
        await end_of(await turns.create(say("la " * 100, conversation="conv_1")))

    asked = await end_of(await turns.create(say("what is my boat called?", conversation="conv_1")))
    assert "my boat is called Wanda\n" in engine.requests[-1].messages[-1].text
    assert asked.context is not None
    assert told.input_item_ids[0] in asked.context["recalled"]

    await store.delete_item("conv_1", told.input_item_ids[0])
    await end_of(await turns.create(say("so what is it called, my boat?", conversation="conv_1")))
    assert all("Wanda" not in message.text for message in engine.requests[-1].messages)


async def test_a_turn_reads_only_what_is_new_of_a_long_conversation(
    turns: Turns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Sequence[str]] = []
    climb = stored_items._climb

    def noted(*args: Any, **fields: Any) -> list[Item]:
        found = climb(*args, **fields)
        read.append([item.id for item in found])
        return found

    monkeypatch.setattr(stored_items, "_climb", noted)
    await store.create_conversation("conv_1", items=[NewItem(f"msg_{n}", "user", "la " * 50) for n in range(60)])
    await end_of(await turns.create(say("my boat is called Wanda", conversation="conv_1")))
    second = await end_of(await turns.create(say("what is it called?", conversation="conv_1")))
    assert [len(ids) for ids in read] == [61, 2]
    await turns.forget("conv_1")
    await end_of(await turns.create(say("and now?", conversation="conv_1")))
    assert len(read[-1]) == 65
    assert read[-1][-3] == second.input_item_ids[0]


async def test_the_engine_has_a_reply_before_anybody_hears_that_it_started(
    turns: Turns, store: Store, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that who deletes a message after the start finds the reply there to be forgotten."""
    start, asked = store.start_response, list[int]()

    async def started(*args: Any) -> None:
        await start(*args)
        asyncio.get_running_loop().call_soon(lambda: asked.append(len(engine.requests)))

    monkeypatch.setattr(store, "start_response", started)
    await end_of(await turns.create(say("hi")))
    assert asked == [1]


async def test_a_failing_generation_ends_its_turn_and_no_other(turns: Turns, engine: FakeEngine) -> None:
    engine.reply = lambda request: ["so ", GenerationFailed("boom")]
    failed = await end_of(await turns.create(say("hi")))
    assert (failed.state, failed.text, failed.error_code) == ("failed", "so ", "generation_failed")
    assert "boom" not in (failed.error_message or "")
    engine.reply = lambda request: ["fine"]
    again = await turns.create(say("again", previous_response_id=failed.id))
    assert (await end_of(again)).text == "fine"


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


async def test_an_earlier_message_can_be_said_again_in_other_words(turns: Turns, store: Store) -> None:
    await store.create_conversation("conv_1")
    first = await end_of(await turns.create(say("hi", conversation="conv_1")))
    await end_of(await turns.create(say("Mira", conversation="conv_1")))
    await end_of(await turns.create(say("Ana", conversation="conv_1", parent_item_id=first.output_item_id)))
    await end_of(await turns.create(say("hello", conversation="conv_1", parent_item_id=None)))
    assert [text for _, _, text in await transcript(store, "conv_1")] == ["hello", "you said: hello"]


async def test_what_is_not_to_be_stored_is_gone_when_it_ends(turns: Turns, engine: FakeEngine) -> None:
    settled = await end_of(await turns.create(say("secret", store=False)))
    await turns.drain(1)
    with pytest.raises(NotFound):
        await turns.attach(settled.id)
    assert engine.forgotten == [settled.conversation_id]


async def test_who_continued_an_unstored_reply_keeps_what_was_acknowledged(
    turns: Turns, store: Store, engine: FakeEngine
) -> None:
    engine.free = 1
    first = await turns.create(say("secret", store=False))
    second = await turns.create(say("go on", previous_response_id=first.response.id))
    engine.gate.set()
    assert (await end_of(second)).state == "completed"
    assert (await store.response(second.response.id)).text == "you said: go on"


async def test_text_that_no_database_accepts_is_made_storable(turns: Turns, engine: FakeEngine) -> None:
    engine.reply = lambda request: ["a\ud800", "\x00b"]
    assert (await end_of(await turns.create(say("hi")))).text == "a��b"


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
    told = await end_of(await turns.create(say("hi")))
    assert (told.state, told.error_code) == ("failed", "storage_full")
    is_full = False
    while (await store.response(told.id)).state != "completed":
        await asyncio.sleep(0.01)


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
    monkeypatch.setattr("chatbot.conversation.unstored._RETRY_S", 0.01)
    told = await end_of(await turns.create(say("secret", store=False)))
    while turns._tasks:
        await asyncio.wait(turns._tasks)
    assert engine.forgotten == [told.conversation_id]
    room.set()
    while turns._late:
        await asyncio.wait(turns._late)
    with pytest.raises(NotFound):
        await turns.attach(told.id)


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


async def test_text_is_saved_while_it_streams(turns: Turns, store: Store, engine: FakeEngine) -> None:
    engine.free = 2
    log = await turns.create(say("tell me more"))
    while (await store.response(log.response.id)).text != "you said:":
        await asyncio.sleep(0.005)
    assert (await store.response(log.response.id)).delta_lengths == (3, 6)


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


async def test_a_key_used_again_to_begin_at_the_root_is_refused(turns: Turns, store: Store) -> None:
    await store.create_conversation("conv_1")
    await end_of(await turns.create(say("hi", conversation="conv_1"), "key"))
    with pytest.raises(Conflict):
        await turns.create(say("hi", conversation="conv_1", parent_item_id=None), "key")


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
