"""A response goes forward through its states, and its first end stands."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from storage import Store, responses
from storage.errors import ContextOutdated, ConversationNotFound, ResponseNotFound, ResponseStateConflict
from storage.records import ResponseState
from tests.storage.worlds import ids, new_turn, user, whole_turn, work_of


async def test_a_reply_is_checkpointed_and_completed(store: Store) -> None:
    await store.create_conversation("conv_1")
    await store.begin_turn(new_turn("a"))
    await store.start_response("resp_a", {"kept": ["msg_a"], "tokens": 7})
    await store.checkpoint("resp_a", "Ahoy", [2, 2])
    partial = await store.response("resp_a")
    assert (partial.state, partial.text, partial.delta_lengths) == ("in_progress", "Ahoy", (2, 2))
    response = await store.finish_response("resp_a", "completed", "Ahoy!", [2, 2, 1], usage={"output_tokens": 3})
    assert response == await store.response("resp_a")
    assert (response.state, response.text, response.delta_lengths) == ("completed", "Ahoy!", (2, 2, 1))
    assert (response.usage, response.context) == ({"output_tokens": 3}, {"kept": ["msg_a"], "tokens": 7})
    assert response.completed_at is not None
    reply = await store.item("conv_1", "msg_a_reply")
    assert (reply.text, reply.status) == ("Ahoy!", "completed")


@pytest.mark.parametrize("state", ["cancelled", "incomplete", "failed"])
async def test_any_other_end_leaves_an_incomplete_item_with_its_text(store: Store, state: ResponseState) -> None:
    await store.create_conversation("conv_1")
    await store.begin_turn(new_turn("a"))
    response = await store.finish_response(
        "resp_a", state, "Ah", [2], incomplete_reason="why", error_code="code", error_message="message"
    )
    assert (response.state, response.incomplete_reason) == (state, "why")
    assert (response.error_code, response.error_message, response.usage) == ("code", "message", None)
    reply = await store.item("conv_1", "msg_a_reply")
    assert (reply.text, reply.status) == ("Ah", "incomplete")


async def test_the_first_end_stands(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    with pytest.raises(ResponseStateConflict, match="expected state queued or in_progress, but it is completed"):
        await store.finish_response("resp_a", "cancelled", "", [])
    with pytest.raises(ResponseStateConflict, match="expected state in_progress"):
        await store.checkpoint("resp_a", "late", [4])
    with pytest.raises(ResponseStateConflict, match="expected state queued"):
        await store.start_response("resp_a", {})
    assert (await store.response("resp_a")).text == "reply to a"


@pytest.mark.parametrize("lengths", [[], [4], [3, 3]])
async def test_lengths_that_do_not_add_up_to_the_text_are_refused(store: Store, lengths: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="add up to 5"):
        await store.checkpoint("resp_a", "Ahoy!", lengths)


async def test_a_list_of_lengths_may_grow_while_its_checkpoint_waits(store: Store) -> None:
    await store.begin_turn(new_turn("a", None))
    await store.start_response("resp_a", {})
    lengths = [2, 2]
    waiting = asyncio.create_task(store.checkpoint("resp_a", "Ahoy", lengths))
    await asyncio.sleep(0)
    lengths.append(1)
    await waiting
    assert (await store.response("resp_a")).delta_lengths == (2, 2)


async def test_a_reply_does_not_start_with_a_message_that_was_deleted(store: Store) -> None:
    await store.create_conversation("conv_1", items=[user("x"), user("y")])
    await store.begin_turn(new_turn("a"))
    await store.delete_item("conv_1", "msg_x")
    with pytest.raises(ContextOutdated, match="msg_x"):
        await store.start_response("resp_a", {"kept": ["msg_y", "msg_x", "msg_a"]})
    with pytest.raises(ContextOutdated, match="msg_x"):
        await store.start_response("resp_a", {"kept": ["msg_y", "msg_a"], "recalled": ["msg_x"]})
    assert (await store.response("resp_a")).state == "queued"
    await store.start_response("resp_a", {"kept": ["msg_y", "msg_a"]})


async def test_an_unknown_response_is_told(store: Store) -> None:
    with pytest.raises(ResponseNotFound, match="resp_none"):
        await store.response("resp_none")
    with pytest.raises(ResponseNotFound, match="resp_none"):
        await store.start_response("resp_none", {})
    with pytest.raises(ResponseNotFound, match="resp_none"):
        await store.delete_response("resp_none")


async def test_what_is_unfinished_is_found_without_reading_what_is_done(store: Store) -> None:
    plans: list[str] = []

    def explain(db: Connection) -> None:
        def note(connection: Connection, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
            raw = connection.connection.cursor()
            if statement.startswith("SELECT"):
                raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans.append(raw.fetchall()[0][3])
            raw.close()

        event.listen(db, "before_cursor_execute", note)
        responses.interrupt_unfinished(db, "why", 0)
        event.remove(db, "before_cursor_execute", note)

    await store._database.writer.submit(explain)
    assert len(plans) == 1
    assert all("ix_responses_unfinished" in plan for plan in plans), plans


async def test_unfinished_responses_are_ended_at_the_next_start_with_their_text(database: Path) -> None:
    store = await Store.open(database)
    await store.create_conversation("conv_1")
    await whole_turn(store, "done")
    await store.begin_turn(new_turn("a"))
    await store.start_response("resp_a", {"kept": []})
    await store.checkpoint("resp_a", "half an ans", [11])
    await store.begin_turn(new_turn("b"))
    await store.close()

    store = await Store.open(database)
    assert await store.interrupt_unfinished() == ["resp_a", "resp_b"]
    assert await store.interrupt_unfinished() == []
    response = await store.response("resp_a")
    assert (response.state, response.incomplete_reason) == ("incomplete", "server_restart")
    assert (response.text, response.delta_lengths) == ("half an ans", (11,))
    assert (await store.item("conv_1", "msg_a_reply")).status == "incomplete"
    assert (await store.response("resp_done")).state == "completed"
    await store.close()


async def test_deleting_a_response_keeps_the_items_of_a_listed_conversation(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await store.begin_turn(new_turn("b"))
    await store.delete_response("resp_a")
    await store.delete_response("resp_b")
    items = await store.items("conv_1")
    assert ids(items) == ["msg_a", "msg_a_reply", "msg_b", "msg_b_reply"]
    assert [item.response_id for item in items] == [None] * 4
    assert items[-1].status == "incomplete"


async def test_a_hidden_conversation_goes_with_its_last_response(store: Store) -> None:
    first = await whole_turn(store, "a", None)
    await whole_turn(store, "b", None, previous_response_id="resp_a")
    await store.delete_response("resp_a")
    assert len(await store.items(first.conversation_id)) == 4
    await store.delete_response("resp_b")
    with pytest.raises(ConversationNotFound):
        await store.conversation(first.conversation_id)


async def test_the_last_context_is_that_of_the_nearest_response_on_the_path(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await whole_turn(store, "b")
    await whole_turn(store, "other", previous_response_id="resp_a")
    await store.begin_turn(new_turn("queued"))
    assert await store.last_context("conv_1", "msg_a") is None
    assert await store.last_context("conv_1", "msg_a_reply") == {"kept": ["msg_a"]}
    assert await store.last_context("conv_1", "msg_b_reply") == {"kept": ["msg_b"]}
    assert await store.last_context("conv_1", "msg_queued_reply") == {"kept": ["msg_other"]}


async def test_the_last_context_is_found_without_reading_what_is_above_it(store: Store) -> None:
    await store.create_conversation("conv_1", items=[user(str(n)) for n in range(1_000)])
    await whole_turn(store, "a")
    await whole_turn(store, "b")
    assert await work_of(store, lambda db: responses.last_context(db, "conv_1", "msg_b_reply")) <= 10


async def test_json_is_given_back_as_it_came(store: Store) -> None:
    request: dict[str, Any] = {"instructions": None, "stop": ["\0", "é"], "metadata": {}, "top_p": 1e-3, "n": 2**53}
    await store.begin_turn(new_turn("a", None, request=request))
    assert (await store.response("resp_a")).request == request


async def test_what_is_not_to_be_kept_is_found_in_any_state(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "kept")
    for name, is_kept in (("a", False), ("b", True), ("c", False)):
        await whole_turn(store, name, None, request={"store": is_kept})
    await whole_turn(store, "d", None, request={})
    assert set(await store.responses_not_to_be_kept()) == {"resp_a", "resp_c"}
