"""The begin of a turn is all or nothing, and happens once for a key."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import Store
from storage.errors import (
    ConversationNotFound,
    IdempotencyKeyReused,
    ParentItemNotFound,
    PreviousResponseNotFound,
    ResponseNotFound,
)
from storage.titles import TITLE_CHARS, title_of
from tests.storage.worlds import ids, new_turn, user, whole_turn


async def test_a_turn_stores_user_item_response_and_empty_reply_at_once(store: Store) -> None:
    await store.create_conversation("conv_1")
    response, is_new = await store.begin_turn(new_turn("a"))
    assert is_new
    assert response == await store.response("resp_a")
    assert (response.state, response.text, response.delta_lengths) == ("queued", "", ())
    assert response.input_item_ids == ("msg_a",)
    assert response.request == {"temperature": 0.5, "seed": None}
    asked, reply = await store.items("conv_1")
    assert (asked.id, asked.role, asked.status, asked.response_id) == ("msg_a", "user", "completed", None)
    assert (reply.parent_id, reply.status, reply.response_id) == ("msg_a", "in_progress", "resp_a")
    assert (asked.model, reply.model) == (None, "pirate")
    assert (await store.conversation("conv_1")).active_leaf == "msg_a_reply"


async def test_the_same_key_and_body_gives_the_stored_response(store: Store) -> None:
    await store.create_conversation("conv_1")
    first = new_turn("a", idempotency_key="key", body_sha256="body")
    again = replace(first, response_id="resp_b", output_item_id="msg_b_reply", inputs=(user("b"),))
    await store.begin_turn(first)
    response, is_new = await store.begin_turn(again)
    assert (response.id, is_new) == ("resp_a", False)
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_a_reply"]


async def test_a_key_with_another_body_is_refused_and_stores_nothing(store: Store) -> None:
    await store.create_conversation("conv_1")
    await store.begin_turn(new_turn("a", idempotency_key="key", body_sha256="body"))
    with pytest.raises(IdempotencyKeyReused, match="resp_a"):
        await store.begin_turn(new_turn("b", idempotency_key="key", body_sha256="other"))
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_a_reply"]


async def test_a_key_can_be_looked_up_without_beginning_anything(store: Store) -> None:
    await store.create_conversation("conv_1")
    await store.begin_turn(new_turn("a", idempotency_key="key", body_sha256="body"))
    found = await store.response_under_key("key", "body")
    assert found is not None
    assert found.id == "resp_a"
    assert await store.response_under_key("other key", "body") is None
    with pytest.raises(IdempotencyKeyReused):
        await store.response_under_key("key", "other body")


async def test_twenty_concurrent_requests_with_one_key_make_one_response(store: Store) -> None:
    await store.create_conversation("conv_1")
    turns = [new_turn(str(n), idempotency_key="key", body_sha256="body") for n in range(20)]
    answers = await asyncio.gather(*(store.begin_turn(turn) for turn in turns))
    assert len({response.id for response, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1
    assert len(await store.items("conv_1")) == 2


async def test_the_key_of_a_deleted_response_never_runs_again(store: Store) -> None:
    await store.create_conversation("conv_1")
    turn = new_turn("a", idempotency_key="key", body_sha256="body")
    await store.begin_turn(turn)
    await store.delete_response("resp_a")
    with pytest.raises(ResponseNotFound, match="was deleted; use a new key"):
        await store.begin_turn(turn)


async def test_a_key_without_the_hash_of_its_body_is_a_mistake(store: Store) -> None:
    with pytest.raises(ValueError, match="body_sha256"):
        await store.begin_turn(new_turn("a", None, idempotency_key="key"))


async def test_a_turn_without_conversation_makes_a_hidden_one_that_can_be_continued(store: Store) -> None:
    first = await whole_turn(store, "a", None)
    second = await whole_turn(store, "b", None, previous_response_id="resp_a")
    assert second.conversation_id == first.conversation_id
    assert second.previous_response_id == "resp_a"
    assert ids(await store.items(first.conversation_id)) == ["msg_a", "msg_a_reply", "msg_b", "msg_b_reply"]
    conversation = await store.conversation(first.conversation_id)
    assert (conversation.listed, conversation.model) == (False, "pirate")
    assert await store.conversations() == []


async def test_an_earlier_previous_response_starts_a_branch(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await whole_turn(store, "b")
    await whole_turn(store, "c", None, previous_response_id="resp_a")
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_a_reply", "msg_c", "msg_c_reply"]
    assert ids((await store.path("conv_1", "msg_b_reply")).items) == ["msg_a", "msg_a_reply", "msg_b", "msg_b_reply"]


async def test_regenerate_adds_a_sibling_reply_and_overwrites_nothing(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await whole_turn(store, "again", inputs=(), parent_item_id="msg_a")
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_again_reply"]
    assert ids(await store.items("conv_1", leaf="msg_a_reply")) == ["msg_a", "msg_a_reply"]
    assert (await store.response("resp_a")).text == "reply to a"


async def test_an_edit_of_the_first_message_starts_at_the_root(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await whole_turn(store, "edited", at_root=True)
    assert ids(await store.items("conv_1")) == ["msg_edited", "msg_edited_reply"]
    assert ids(await store.items("conv_1", leaf="msg_a_reply")) == ["msg_a", "msg_a_reply"]


async def test_what_a_turn_refers_to_must_exist(store: Store) -> None:
    await store.create_conversation("conv_1")
    await store.create_conversation("conv_2")
    await whole_turn(store, "a")
    with pytest.raises(ConversationNotFound, match="conv_none"):
        await store.begin_turn(new_turn("b", "conv_none"))
    with pytest.raises(PreviousResponseNotFound, match="resp_none"):
        await store.begin_turn(new_turn("b", None, previous_response_id="resp_none"))
    with pytest.raises(PreviousResponseNotFound, match="not in conversation 'conv_2'"):
        await store.begin_turn(new_turn("b", "conv_2", previous_response_id="resp_a"))
    with pytest.raises(ParentItemNotFound, match="msg_a"):
        await store.begin_turn(new_turn("b", "conv_2", parent_item_id="msg_a"))
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_a_reply"]
    assert await store.items("conv_2") == []


async def test_the_first_user_text_titles_a_conversation_that_has_no_title(store: Store) -> None:
    await store.create_conversation("conv_1")
    await store.create_conversation("conv_2", title="kept")
    text = "How do I teach a parrot\nto say something else than its own name?"
    await store.begin_turn(new_turn("a", inputs=(user("a", text),)))
    await store.begin_turn(new_turn("b"))
    await store.begin_turn(new_turn("c", "conv_2"))
    assert (await store.conversation("conv_1")).title == "How do I teach a parrot to say something else"
    assert (await store.conversation("conv_2")).title == "kept"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_title_is_short_and_made_of_whole_words(text: str) -> None:
    title = title_of(text)
    words = text.replace("\0", " ").split()
    assert len(title) <= TITLE_CHARS
    assert bool(title) == bool(words)
    if words and len(words[0]) <= TITLE_CHARS:
        assert title.split() == words[: len(title.split())]
