"""A request as what is stored of it: the items and the turn."""

import hashlib
import json
from collections.abc import Sequence

from chatbot.conversation.personas import Persona
from chatbot.protocol.ids import new_id
from chatbot.protocol.requests import Message, ResponseCreate
from storage.records import Conversation, ItemRole, NewItem, NewTurn

_NOT_KEPT = {
    "input",
    "model",
    "conversation",
    "previous_response_id",
    "parent_item_id",
    "stream",
    "idempotency_key",
}
"""Fields of a request that are stored in places of their own, or have no meaning later."""


def new_items(messages: Sequence[Message]) -> tuple[NewItem, ...]:
    """Return messages of a request as items to store; a developer speaks as the system."""
    return tuple(NewItem(new_id("msg"), stored_role(message), message.text) for message in messages)


def stored_role(message: Message) -> ItemRole:
    return "system" if message.role == "developer" else message.role


def new_turn(request: ResponseCreate, conversation: Conversation | None, persona: Persona, key: str | None) -> NewTurn:
    """Return a turn under ids of its own, for `persona` to answer."""
    return NewTurn(
        response_id=new_id("resp"),
        output_item_id=new_id("msg"),
        conversation_id=conversation.id if conversation else None,
        previous_response_id=request.previous_response_id,
        inputs=new_items(request.messages),
        model=persona.name,
        request=request.model_dump(exclude=_NOT_KEPT, exclude_none=True),
        idempotency_key=key,
        body_sha256=fingerprint(request) if key else None,
        parent_item_id=request.parent_item_id,
        at_root=request.begins_at_root,
    )


def fingerprint(request: ResponseCreate) -> str:
    """Return what two requests with one idempotency key must have in common."""
    body = request.model_dump(exclude={"idempotency_key", "stream"}, exclude_none=True)
    if request.begins_at_root:
        body["parent_item_id"] = None  # given as null, which is not the same as not given
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
