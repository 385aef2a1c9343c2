"""The begin of a turn: key, conversation, user items, response and empty reply, all or nothing.

A turn that was begun before under the same key is not begun again: its response is given back.
"""

import secrets

from sqlalchemy import Connection, delete, insert, select

from storage import conversations, items, responses
from storage.errors import (
    ConversationNotFound,
    IdempotencyKeyReused,
    ItemNotFound,
    NotFound,
    ParentItemNotFound,
    PreviousResponseNotFound,
    ResponseNotFound,
)
from storage.records import Conversation, ItemStatus, NewItem, NewTurn, Response
from storage.schema import idempotency_keys
from storage.sealed_keys import key_sha256, sealed_body
from storage.titles import title_of


def begin(db: Connection, turn: NewTurn, now: int) -> tuple[Response, bool]:
    """Store the turn; return its response and True, or the earlier response of this key and False."""
    stored = _earlier(db, turn)
    if stored is not None:
        return stored, False
    conversation = _conversation(db, turn, now)
    parent_id = _parent(db, turn, conversation)
    output = NewItem(turn.output_item_id, "assistant", "")
    chain: list[tuple[NewItem, ItemStatus]] = [(entry, "completed") for entry in turn.inputs]
    items.grow(db, conversation.id, parent_id, [*chain, (output, "in_progress")], now)
    response = _response(turn, conversation.id, now)
    responses.insert_new(db, response)
    if turn.idempotency_key is not None and turn.body_sha256 is not None:
        _remember_key(db, turn.idempotency_key, turn.body_sha256, response)
    if conversation.title is None:
        _give_title(db, turn, conversation.id)
    return response, True


def instructions_before(db: Connection, turn: NewTurn) -> list[str]:
    """Texts of the stored system messages that the turn, of a named conversation, would come after."""
    assert turn.conversation_id is not None
    conversation = conversations.fetch(db, turn.conversation_id)
    return items.instructions(db, conversation.id, _parent(db, turn, conversation))


def stored_under_key(db: Connection, key: str, body_sha256: str, *, may_be_gone: bool = False) -> Response | None:
    """The response that was begun under this key, or None; raises IdempotencyKeyReused if its body was another.

    One that was deleted is None too where it `may_be_gone`, as it is after its end if it was not to be stored.
    """
    query = select(idempotency_keys).where(idempotency_keys.c.key_sha256 == key_sha256(key))
    row = db.execute(query).one_or_none()
    if row is None:
        return None
    if row.sealed_body != sealed_body(key, body_sha256):
        raise IdempotencyKeyReused(
            f"expected the body that this idempotency key first came with (response {row.response_id!r}),"
            " but it differs; use a new key for a new request"
        )
    try:
        return responses.fetch(db, row.response_id)
    except ResponseNotFound:
        if may_be_gone:
            return None
        why = "the one this idempotency key made was deleted; use a new key to ask again"
        raise responses.not_found(row.response_id, why) from None


def _earlier(db: Connection, turn: NewTurn) -> Response | None:
    if turn.idempotency_key is None:
        return None
    if turn.body_sha256 is None:
        raise ValueError("expected body_sha256 beside idempotency_key, but it is None")
    may_be_gone = turn.request.get("store") is False
    return stored_under_key(db, turn.idempotency_key, turn.body_sha256, may_be_gone=may_be_gone)


def _conversation(db: Connection, turn: NewTurn, now: int) -> Conversation:
    """The conversation that is named, else that of the previous response, else a new hidden one."""
    conversation_id = turn.conversation_id
    if conversation_id is None and turn.previous_response_id is not None:
        conversation_id = _previous(db, turn.previous_response_id).conversation_id
    if conversation_id is None:
        conversation_id = _create_hidden(db, turn, now)
    return conversations.fetch(db, conversation_id)


def _parent(db: Connection, turn: NewTurn, conversation: Conversation) -> str | None:
    """The item that the turn continues from: named, else the previous reply, else the active leaf."""
    leaf = conversation.active_leaf
    if turn.previous_response_id is not None:
        previous = _previous(db, turn.previous_response_id)
        if previous.conversation_id != conversation.id:
            why = f"it is not in conversation {conversation.id!r}; name one or the other"
            raise PreviousResponseNotFound(*responses.not_found(previous.id, why).args)
        leaf = previous.output_item_id
    if responses.goes_with_its_reply(db, conversation):
        raise _not_kept(turn, conversation)
    if turn.at_root:
        return None
    if turn.parent_item_id is not None:
        return _parent_item(db, conversation.id, turn.parent_item_id)
    return leaf


def _previous(db: Connection, response_id: str) -> Response:
    try:
        return responses.fetch(db, response_id)
    except ResponseNotFound as error:
        raise PreviousResponseNotFound(*error.args) from None


def _not_kept(turn: NewTurn, conversation: Conversation) -> NotFound:
    """The error for a turn that would continue what is deleted as soon as it ends, or keep its text from that."""
    why = "its reply is made with store: false; leave that out for one that can be continued"
    if turn.previous_response_id is not None:
        return PreviousResponseNotFound(*responses.not_found(turn.previous_response_id, why).args)
    return ConversationNotFound(f"conversation {conversation.id!r}: expected a stored conversation, but {why}")


def _parent_item(db: Connection, conversation_id: str, item_id: str) -> str:
    try:
        return items.fetch(db, conversation_id, item_id).id
    except ItemNotFound as error:
        raise ParentItemNotFound(*error.args) from None


def _create_hidden(db: Connection, turn: NewTurn, now: int) -> str:
    conversation_id = f"conv_{secrets.token_hex(16)}"
    conversations.create(
        db,
        conversation_id,
        title=None,
        model=turn.model,
        instructions=None,
        metadata={},
        listed=False,
        now=now,
    )
    return conversation_id


def _response(turn: NewTurn, conversation_id: str, now: int) -> Response:
    return Response(
        id=turn.response_id,
        conversation_id=conversation_id,
        previous_response_id=turn.previous_response_id,
        input_item_ids=tuple(entry.id for entry in turn.inputs),
        output_item_id=turn.output_item_id,
        model=turn.model,
        request=dict(turn.request),
        state="queued",
        created_at=now,
        completed_at=None,
        text="",
        delta_lengths=(),
    )


def _remember_key(db: Connection, key: str, body_sha256: str, response: Response) -> None:
    row = {
        "key_sha256": key_sha256(key),
        "sealed_body": sealed_body(key, body_sha256),
        "response_id": response.id,
        "created_at": response.created_at,
    }
    earlier = idempotency_keys.c.key_sha256 == row["key_sha256"]  # of a response that was not to be stored
    db.execute(delete(idempotency_keys).where(earlier))
    db.execute(insert(idempotency_keys), row)


def _give_title(db: Connection, turn: NewTurn, conversation_id: str) -> None:
    title = title_of(next((entry.text for entry in turn.inputs if entry.role == "user"), ""))
    if title:
        conversations.change(db, conversation_id, title=title)
