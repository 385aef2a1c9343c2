"""Conversations are found, listed by last change and changed field by field."""

from pathlib import Path

import pytest

from storage import Store
from storage.errors import AlreadyExists, ConversationNotFound
from tests.storage.worlds import ids, new_turn, user, whole_turn


async def test_a_conversation_is_given_back_as_it_was_made(store: Store) -> None:
    made = await store.create_conversation(
        "conv_1",
        title="Parrots",
        model="pirate",
        instructions="Be brief.\0",
        metadata={"topic": "birds"},
        items=[user("a"), user("b")],
    )
    assert made == await store.conversation("conv_1")
    assert (made.title, made.model, made.instructions) == ("Parrots", "pirate", "Be brief.\0")
    assert (made.metadata, made.listed, made.active_leaf) == ({"topic": "birds"}, True, "msg_b")
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_b"]


async def test_a_taken_id_is_told(store: Store) -> None:
    await store.create_conversation("conv_1", title="first")
    with pytest.raises(AlreadyExists, match="taken"):
        await store.create_conversation("conv_1", title="second")
    assert (await store.conversation("conv_1")).title == "first"


async def test_a_search_finds_what_was_said_and_nothing_that_was_deleted(store: Store) -> None:
    said = "My sister lives in 100% wool_land, École Mu\u0308nchen ПРИВЕТ"
    await store.create_conversation("conv_1", title="Parrots", items=[user("a", said)])
    await store.create_conversation("conv_2", title="Sea", items=[user("b", "My mother"), user("c", "has a sister")])
    await store.create_conversation("conv_3", listed=False, items=[user("d", "my sister")])

    async def found(search: str) -> list[str]:
        return [one.id for one in await store.conversations(search=search)]

    assert await found("SISTER") == ["conv_2", "conv_1"]
    assert await found(" my sister ") == ["conv_1"]
    assert await found("parr") == ["conv_1"]
    assert [await found(text) for text in ("100%", "l_l", "%", "_sister", "")] == [
        ["conv_1"],
        ["conv_1"],
        ["conv_1"],
        [],
        ["conv_2", "conv_1"],
    ]
    assert [await found(text) for text in ("école", "münchen", "Привет", "\0")] == [["conv_1"]] * 3 + [[]]
    await store.delete_item("conv_1", "msg_a")
    assert await found("sister") == ["conv_2"]


async def test_a_text_of_any_length_can_be_searched_for(store: Store) -> None:
    text = " ".join([*(f"word{n}" for n in range(2_000)), "long" * 20_000])
    await store.create_conversation("conv_1", items=[user("a", f"{text} and more")])
    await store.create_conversation("conv_2", items=[user("b", "word1 word2")])
    for search in (text, f"{text} {text}", "long" * 20_000, "word1 " * 5_000 + "word3"):
        assert [one.id for one in await store.conversations(search=search)] == ["conv_1"]


async def test_a_failed_create_leaves_nothing(store: Store) -> None:
    with pytest.raises(AlreadyExists):
        await store.create_conversation("conv_1", items=[user("a"), user("a")])
    with pytest.raises(ConversationNotFound):
        await store.conversation("conv_1")


async def test_the_list_runs_from_the_last_changed_and_goes_on_after_an_id(store: Store) -> None:
    for name in ("conv_1", "conv_2", "conv_3"):
        await store.create_conversation(name)
    await store.create_conversation("conv_hidden", listed=False)
    await store.append_items("conv_1", [user("a")])
    assert [found.id for found in await store.conversations()] == ["conv_1", "conv_3", "conv_2"]
    first = await store.conversations(limit=2)
    rest = await store.conversations(limit=2, after=first[-1].id)
    assert [found.id for found in [*first, *rest]] == ["conv_1", "conv_3", "conv_2"]
    with pytest.raises(ConversationNotFound):
        await store.conversations(after="conv_none")


async def test_the_list_goes_on_before_a_change_though_its_conversation_was_changed_or_deleted(store: Store) -> None:
    for name in ("conv_1", "conv_2", "conv_3", "conv_4"):
        await store.create_conversation(name)
    first = await store.conversations(limit=2)
    assert [found.id for found in first] == ["conv_4", "conv_3"]
    await store.update_conversation("conv_3", title="Moved up")
    rest = await store.conversations(before=first[-1].updated_order)
    assert [found.id for found in rest] == ["conv_2", "conv_1"]
    await store.delete_conversation("conv_3")
    assert await store.conversations(before=first[-1].updated_order) == rest


async def test_order_never_asks_the_clock(database: Path) -> None:
    times = iter(range(10_000, 0, -100))
    store = await Store.open(database, clock=lambda: next(times))
    await store.create_conversation("conv_1")
    await store.create_conversation("conv_2")
    await whole_turn(store, "a")
    await whole_turn(store, "b")
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_a_reply", "msg_b", "msg_b_reply"]
    assert [found.id for found in await store.conversations()] == ["conv_1", "conv_2"]
    assert (await store.item("conv_1", "msg_b")).created_at < (await store.item("conv_1", "msg_a")).created_at
    await store.close()


async def test_only_the_given_fields_change_and_none_is_a_value(store: Store) -> None:
    await store.create_conversation("conv_1", title="a", model="m", instructions="i", metadata={"k": "v"})
    changed = await store.update_conversation("conv_1", title="b", instructions=None)
    assert (changed.title, changed.model, changed.instructions, changed.metadata) == ("b", "m", None, {"k": "v"})
    changed = await store.update_conversation("conv_1", metadata={})
    assert (changed.title, changed.metadata) == ("b", {})
    with pytest.raises(ConversationNotFound, match="conv_none"):
        await store.update_conversation("conv_none", title="b")


async def test_a_title_finds_the_listed_conversation_that_was_changed_last(store: Store) -> None:
    for name in ("conv_1", "conv_2"):
        await store.create_conversation(name, title="Same")
    await store.create_conversation("conv_3", title="Same", listed=False)
    await store.update_conversation("conv_1", model="pirate")
    await store.create_conversation("conv_4", title="Other")
    assert [found.id for found in await store.conversations(title="Same")] == ["conv_1", "conv_2"]
    assert await store.conversations(title="same") == []


async def test_deleting_a_conversation_deletes_everything_in_it_and_nothing_else(store: Store) -> None:
    await store.create_conversation("conv_1")
    await store.create_conversation("conv_2")
    await whole_turn(store, "a")
    await whole_turn(store, "b", inputs=(), parent_item_id="msg_a")
    await whole_turn(store, "c", "conv_2")
    await store.begin_turn(new_turn("running"))
    await store.delete_conversation("conv_1")
    with pytest.raises(ConversationNotFound):
        await store.items("conv_1")
    with pytest.raises(ConversationNotFound):
        await store.delete_conversation("conv_1")
    assert await store.interrupt_unfinished() == []
    assert ids(await store.items("conv_2")) == ["msg_c", "msg_c_reply"]
