"""Whatever is stored: its line, read again, is what it was."""

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.conversation import exported
from chatbot.conversation.exported import line_of
from chatbot.conversation.imported import read_line
from chatbot.protocol.archive import TIME_END_S
from storage import Store
from storage.errors import StorageError
from storage.records import ArchivedItem, Conversation, SettledState
from tests.examples import examples
from tests.storage.worlds import new_turn, user

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TITLES = TEXTS.map(str.strip).filter(bool) | st.none()
STATUSES: tuple[SettledState, ...] = ("completed", "incomplete", "cancelled", "failed")


@st.composite
def archived(draw: st.DrawFn) -> tuple[Conversation, list[ArchivedItem]]:
    """A conversation with any tree of items, of which any is the active leaf, and none is at some positions."""
    items: list[ArchivedItem] = []
    for position in sorted(draw(st.sets(st.integers(0, 30), max_size=8))):
        parent = draw(st.sampled_from([None, *items]))
        items.append(_item(draw, position, parent.id if parent else None))
    conversation = Conversation(
        id="conv_1",
        created_at=draw(st.integers(0, TIME_END_S - 1)),
        title=draw(TITLES),
        model=draw(TEXTS | st.none()),
        instructions=draw(TEXTS | st.none()),
        metadata=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        listed=True,
        active_leaf=draw(st.sampled_from(items)).id if items else None,
        updated_order=0,
    )
    return conversation, items


def _item(draw: st.DrawFn, position: int, parent_id: str | None) -> ArchivedItem:
    model = draw(TEXTS | st.none())
    is_reply = model is not None
    fields: dict[str, Any] = (
        {"role": "assistant", "response_id": f"resp_{position}", "model": model} if is_reply else {}
    )
    return ArchivedItem(
        **{"role": draw(st.sampled_from(["system", "user", "assistant"]))} | fields,
        id=f"msg_{position}",
        parent_id=parent_id,
        position=position,
        text=draw(TEXTS),
        created_at=draw(st.integers(0, TIME_END_S - 1)),
        status=draw(st.sampled_from(STATUSES if is_reply else STATUSES[:2])),
    )


async def line(store: Store, conversation_id: str) -> str:
    archive = store.archive
    return "".join([piece async for piece in line_of(archive, await archive.outline(conversation_id))])


@given(archived())
@settings(max_examples=examples(20), deadline=None)
def test_a_line_is_read_as_what_it_was_written_of(told: tuple[Conversation, list[ArchivedItem]]) -> None:
    async def written_and_read() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = await Store.open(Path(folder) / "chats.db")
            await store.archive.restore(*told)
            first = await line(store, "conv_1")
            conversation, items = read_line(first.encode(), now=0)
            assert (conversation, [_without_place(item) for item in items]) == (
                told[0],
                [_without_place(item) for item in told[1]],
            )
            await store.delete_conversation("conv_1")
            await store.archive.restore(conversation, items)
            second = await line(store, "conv_1")
            await store.close()
            assert read_line(second.encode(), now=0) == (conversation, items)

    asyncio.run(written_and_read())


def _without_place(item: ArchivedItem) -> ArchivedItem:
    """What is read has no gaps between its places, where something was deleted."""
    return replace(item, position=0)


async def test_what_is_said_and_deleted_while_a_line_is_written_leaves_it_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "AT_ONCE", 2)
    await store.create_conversation("conv_1", items=[user(name) for name in "abcd"])
    outline = await store.archive.outline("conv_1")
    pieces = line_of(store.archive, outline)
    text = await anext(pieces) + await anext(pieces) + await anext(pieces)
    await store.delete_item("conv_1", "msg_b")
    await store.begin_turn(new_turn("e"))
    text += "".join([piece async for piece in pieces])
    _, items = read_line(text.encode(), now=0)
    assert [(item.id, item.parent_id) for item in items] == [
        ("msg_a", None),
        ("msg_b", "msg_a"),
        ("msg_c", "msg_a"),
        ("msg_d", "msg_c"),
    ]


async def test_an_export_that_fails_says_in_which_conversation(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.create_conversation("conv_1", items=[user("a")])
    monkeypatch.setattr(store.archive, "items", AsyncMock(side_effect=StorageError))
    with pytest.raises(StorageError) as failed:
        await line(store, "conv_1")
    assert failed.value.__notes__ == ["The export stopped in conversation 'conv_1'."]


def test_positions_of_a_line_say_in_which_order_alone() -> None:
    said = [{"role": "user", "content": text, "position": place} for text, place in (("b", 2**31 - 1), ("a", 7))]
    _, items = read_line(json.dumps({"messages": said[::-1]}).encode(), now=0)
    assert [(item.text, item.position) for item in items] == [("a", 0), ("b", 1)]
