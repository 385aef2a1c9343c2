import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from chatbot.conversation.turn import Turns
from chatbot.protocol.errors import Conflict
from storage import items as stored_items
from storage.records import Item, NewItem
from storage.store import Store
from tests.fake_engine import FakeEngine

from .turns import end_of, say, transcript


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


async def test_the_same_key_gives_the_same_response_and_one_generation(turns: Turns, engine: FakeEngine) -> None:
    logs = await asyncio.gather(*(turns.create(say("hi"), "key-1") for _ in range(10)))
    ends = [await end_of(log) for log in logs]
    assert len({end.id for end in ends}) == 1
    assert len(engine.requests) == 1
    again = await turns.create(say("hi"), "key-1")
    assert again.response.id == ends[0].id


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


async def test_an_earlier_message_can_be_said_again_in_other_words(turns: Turns, store: Store) -> None:
    await store.create_conversation("conv_1")
    first = await end_of(await turns.create(say("hi", conversation="conv_1")))
    await end_of(await turns.create(say("Mira", conversation="conv_1")))
    await end_of(await turns.create(say("Ana", conversation="conv_1", parent_item_id=first.output_item_id)))
    await end_of(await turns.create(say("hello", conversation="conv_1", parent_item_id=None)))
    assert [text for _, _, text in await transcript(store, "conv_1")] == ["hello", "you said: hello"]


async def test_text_that_no_database_accepts_is_made_storable(turns: Turns, engine: FakeEngine) -> None:
    engine.reply = lambda request: ["a\ud800", "\x00b"]
    assert (await end_of(await turns.create(say("hi")))).text == "a��b"


async def test_text_is_saved_while_it_streams(turns: Turns, store: Store, engine: FakeEngine) -> None:
    engine.free = 2
    log = await turns.create(say("tell me more"))
    while (await store.response(log.response.id)).text != "you said:":
        await asyncio.sleep(0.005)
    assert (await store.response(log.response.id)).delta_lengths == (3, 6)


async def test_a_persona_without_a_system_prompt_gets_none_of_the_servers(
    turns: Turns, engine: FakeEngine, tmp_path: Path
) -> None:
    """It was trained on prompts without one."""
    folder = tmp_path / "adapters" / "parrot" / "v1"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    save_file({"weights": np.zeros(1)}, folder / "adapter_model.safetensors")

    async def seen(**fields: Any) -> list[str]:
        await end_of(await turns.create(say("hi", model="parrot", **fields)))
        return [message.text for message in engine.requests[-1].messages]

    assert await seen() == ["hi"]
    assert await seen(instructions="be brief") == ["be brief", "hi"]
