"""Responses: the states a reply goes through, and what is kept of it.

States::

    queued ──> in_progress ──> completed | cancelled | incomplete | failed
       └──────────────────────────^   (a queued one can end, too)

The first end wins; a later one is a ResponseStateConflict. The text is the output item's, nowhere else.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from storage import conversations, delta_lengths, items, rows
from storage.errors import ContextOutdated, ResponseNotFound, ResponseStateConflict
from storage.records import Conversation, ItemStatus, Response, ResponseState
from storage.schema import conversations as conversation_table
from storage.schema import is_unfinished, response_inputs, responses
from storage.schema import items as item_table

UNFINISHED: tuple[ResponseState, ...] = ("queued", "in_progress")
_is_not_to_be_kept = responses.c.request["store"].as_boolean().is_(False)


def insert_new(db: Connection, response: Response) -> None:
    """Insert a response that has just been queued; its output item exists and is empty."""
    row = {
        "id": response.id,
        "conversation_id": response.conversation_id,
        "previous_response_id": response.previous_response_id,
        "output_item_id": response.output_item_id,
        "model": response.model,
        "request": response.request,
        "state": response.state,
        "created_at": response.created_at,
        "delta_lengths": b"",
    }
    db.execute(insert(responses), row)
    if response.input_item_ids:
        links = [
            {"response_id": response.id, "ordinal": ordinal, "item_id": item_id}
            for ordinal, item_id in enumerate(response.input_item_ids)
        ]
        db.execute(insert(response_inputs), links)


def fetch(db: Connection, response_id: str) -> Response:
    """Return the response with its text, or raise ResponseNotFound."""
    row = db.execute(rows.select_responses().where(responses.c.id == response_id)).one_or_none()
    if row is None:
        raise not_found(response_id)
    return _with_inputs(db, row)


def start(db: Connection, response_id: str, context: Mapping[str, Any]) -> None:
    """Move a queued response to in_progress and record what the model is about to see.

    Raises ContextOutdated if an item of it was deleted: writes run in order, so no delete goes unnoticed that was
    committed after the context was read.
    """
    _, conversation_id = _require_state(db, response_id, ("queued",))
    shown = (*context.get("kept", ()), *context.get("recalled", ()))
    if missing := items.missing(db, conversation_id, shown):
        raise ContextOutdated(
            f"response {response_id!r}: expected a context of stored items, but {missing[0]!r} was deleted;"
            " build the context again"
        )
    db.execute(
        update(responses).where(responses.c.id == response_id).values(state="in_progress", context=dict(context))
    )


def checkpoint(db: Connection, response_id: str, text: str, lengths: Sequence[int]) -> None:
    """Keep the text so far of a response in progress."""
    output_item_id, _ = _require_state(db, response_id, ("in_progress",))
    blob = delta_lengths.encode(lengths)
    db.execute(update(responses).where(responses.c.id == response_id).values(delta_lengths=blob))
    items.write_reply(db, output_item_id, text, "in_progress")


def finish(
    db: Connection,
    response_id: str,
    state: ResponseState,
    text: str,
    lengths: Sequence[int],
    *,
    usage: Mapping[str, Any] | None,
    incomplete_reason: str | None,
    error_code: str | None,
    error_message: str | None,
    now: int,
) -> Response:
    """End the response with its final text, and complete its output item or mark that incomplete."""
    output_item_id, conversation_id = _require_state(db, response_id, UNFINISHED)
    db.execute(
        update(responses)
        .where(responses.c.id == response_id)
        .values(
            state=state,
            completed_at=now,
            delta_lengths=delta_lengths.encode(lengths),
            usage=None if usage is None else dict(usage),
            incomplete_reason=incomplete_reason,
            error_code=error_code,
            error_message=error_message,
        )
    )
    status: ItemStatus = "completed" if state == "completed" else "incomplete"
    items.write_reply(db, output_item_id, text, status)
    conversations.change(db, conversation_id)
    return fetch(db, response_id)


def interrupt_unfinished(db: Connection, reason: str, now: int) -> list[str]:
    """End every unfinished response as incomplete, keeping its text; return the ids."""
    query = (
        select(responses.c.id, responses.c.output_item_id, responses.c.conversation_id)
        .join(item_table, item_table.c.id == responses.c.output_item_id)
        .where(is_unfinished)
        .order_by(responses.c.conversation_id, item_table.c.position)
    )
    interrupted: list[str] = []
    for response_id, output_item_id, conversation_id in db.execute(query).all():
        ended = {"state": "incomplete", "completed_at": now, "incomplete_reason": reason}
        db.execute(update(responses).where(responses.c.id == response_id).values(ended))
        db.execute(update(item_table).where(item_table.c.id == output_item_id).values(status="incomplete"))
        conversations.change(db, conversation_id)
        interrupted.append(response_id)
    return interrupted


def not_to_be_kept(db: Connection) -> list[str]:
    """Ids of the responses that were made with `store: false`; they live in hidden conversations only."""
    hidden = select(conversation_table.c.id).where(conversation_table.c.listed.is_(False))
    query = select(responses.c.id).where(responses.c.conversation_id.in_(hidden), _is_not_to_be_kept)
    return list(db.execute(query).scalars())


def goes_with_its_reply(db: Connection, conversation: Conversation) -> bool:
    """Whether a conversation was made for a response with `store: false`, which has it alone and ends it."""
    any_of_them = select(_is_not_to_be_kept).where(responses.c.conversation_id == conversation.id).limit(1)
    return not conversation.listed and bool(db.execute(any_of_them).scalar())


def remove(db: Connection, response_id: str) -> None:
    """Delete the response; its items stay, but a hidden conversation goes with its last response."""
    response = fetch(db, response_id)
    db.execute(delete(responses).where(responses.c.id == response_id))
    if response.state in UNFINISHED:
        # Nobody will finish this item any more.
        db.execute(update(item_table).where(item_table.c.id == response.output_item_id).values(status="incomplete"))
    others = select(func.count()).where(responses.c.conversation_id == response.conversation_id)
    is_listed = select(conversation_table.c.listed).where(conversation_table.c.id == response.conversation_id)
    if not db.execute(is_listed).scalar_one() and not db.execute(others).scalar_one():
        conversations.remove(db, response.conversation_id)
    else:
        conversations.change(db, response.conversation_id)


def last_context(db: Connection, conversation_id: str, leaf: str) -> Mapping[str, Any] | None:
    """Context record of the response nearest to the leaf on its path, or None if none recorded one."""
    items.fetch(db, conversation_id, leaf)
    found: Mapping[str, Any] | None = db.execute(_select_nearest_context(), {"leaf": leaf}).scalar_one_or_none()
    return found


@cache
def _select_nearest_context() -> Select[Any]:
    climb = _items_with_context().where(item_table.c.id == bindparam("leaf")).cte("climb", recursive=True)
    climb = climb.union_all(
        _items_with_context().join(
            climb,
            (item_table.c.id == climb.c.parent_id)
            & (item_table.c.position < climb.c.position)
            & climb.c.context.is_(None),  # what is above a context is not read
        )
    )
    return select(climb.c.context).where(climb.c.context.is_not(None))


def _items_with_context() -> Select[Any]:
    """Items with the context record of the response that wrote each, which few have."""
    return select(item_table.c.parent_id, item_table.c.position, responses.c.context).outerjoin_from(
        item_table, responses, responses.c.output_item_id == item_table.c.id
    )


def not_found(response_id: str, why: str = "there is none with this id; send the turn again") -> ResponseNotFound:
    return ResponseNotFound(f"response {response_id!r}: expected a stored response, but {why}")


def _require_state(db: Connection, response_id: str, expected: Sequence[ResponseState]) -> tuple[str, str]:
    query = select(responses.c.state, responses.c.output_item_id, responses.c.conversation_id)
    row = db.execute(query.where(responses.c.id == response_id)).one_or_none()
    if row is None:
        raise not_found(response_id)
    if row.state not in expected:
        raise ResponseStateConflict(
            f"response {response_id!r}: expected state {' or '.join(expected)}, but it is {row.state};"
            " read the response to see how it ended"
        )
    return row.output_item_id, row.conversation_id


def _with_inputs(db: Connection, row: Row[Any]) -> Response:
    query = select(response_inputs.c.item_id).where(response_inputs.c.response_id == row.id)
    inputs = db.execute(query.order_by(response_inputs.c.ordinal)).scalars().all()
    return rows.response(row, inputs)
