"""Faults of storage and engine, told in the words of the protocol."""

from collections.abc import Iterator
from contextlib import contextmanager

from chatbot.conversation.context import ContextTooLong
from chatbot.engine.base import AdapterRejected, AdapterUnknown, EngineBusy, EngineError, PromptTooLong
from chatbot.protocol.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProtocolError,
    ServerFault,
    Unavailable,
)
from storage.errors import (
    ConversationNotFound,
    IdempotencyKeyReused,
    ItemNotFound,
    ParentItemNotFound,
    PreviousResponseNotFound,
    ResponseNotFound,
    StorageError,
    StorageFull,
)

_NOT_FOUND: dict[type[StorageError], tuple[type[ProtocolError], str, str]] = {
    ConversationNotFound: (NotFound, "conversation_not_found", "conversation"),
    ParentItemNotFound: (NotFound, "item_not_found", "parent_item_id"),
    ItemNotFound: (NotFound, "item_not_found", "item_id"),
    PreviousResponseNotFound: (InvalidRequest, "previous_response_not_found", "previous_response_id"),
    ResponseNotFound: (NotFound, "response_not_found", "response_id"),
}
"""The first that fits counts. That of a previous response is what OpenAI's clients know."""


@contextmanager
def told_in_protocol(**called: str) -> Iterator[None]:
    """Raise the ProtocolError that stands for any fault of storage, context or engine inside the block.

    `called` says what a param is called in this request, where that is not its usual name: `conversation="after"`.
    """
    try:
        yield
    except (StorageError, EngineError, ContextTooLong) as error:
        told = as_protocol_error(error)
        told.param = called.get(told.param or "", told.param)
        raise told from error


def as_protocol_error(error: Exception) -> ProtocolError:
    """Return the error as clients see it: no internals, but what they can do."""
    for kind, (told_as, code, param) in _NOT_FOUND.items():
        if isinstance(error, kind):
            return told_as(code, str(error), param)
    match error:
        case IdempotencyKeyReused():
            return Conflict("idempotency_key_reused", str(error), "idempotency_key")
        case ContextTooLong() | PromptTooLong():
            return InvalidRequest("context_length_exceeded", str(error), "input")
        case AdapterRejected() | AdapterUnknown():
            return InvalidRequest("adapter_rejected", str(error), "model")
        case EngineBusy():
            return Overloaded("engine_busy", str(error))
        case StorageFull():
            return Unavailable("storage_full", "the server's disk is full; nothing was changed")
        case StorageError():
            return Unavailable("storage_failed", "the server cannot store messages; nothing was acknowledged")
        case _:
            return ServerFault("generation_failed", "the model failed on this turn; it can be sent again")
