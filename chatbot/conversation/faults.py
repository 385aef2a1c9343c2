"""Faults of storage and engine, told in the words of the protocol."""

from collections.abc import Iterator
from contextlib import contextmanager

from chatbot.conversation.context import ContextTooLong
from chatbot.engine.base import (
    AdapterRejected,
    AdapterUnknown,
    DeviceNotFound,
    EngineBusy,
    EngineError,
    ModelNotFound,
    ModelNotLoaded,
    PromptTooLong,
)
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

_TOLD_AS: dict[type[Exception], tuple[type[ProtocolError], str, str | None]] = {
    ConversationNotFound: (NotFound, "conversation_not_found", "conversation"),
    ParentItemNotFound: (NotFound, "item_not_found", "parent_item_id"),
    ItemNotFound: (NotFound, "item_not_found", "item_id"),
    PreviousResponseNotFound: (InvalidRequest, "previous_response_not_found", "previous_response_id"),
    ResponseNotFound: (NotFound, "response_not_found", "response_id"),
    IdempotencyKeyReused: (Conflict, "idempotency_key_reused", "idempotency_key"),
    ContextTooLong: (InvalidRequest, "context_length_exceeded", "input"),
    PromptTooLong: (InvalidRequest, "context_length_exceeded", "input"),
    AdapterRejected: (InvalidRequest, "adapter_rejected", "model"),
    AdapterUnknown: (InvalidRequest, "adapter_rejected", "model"),
    ModelNotFound: (Unavailable, "model_not_loaded", None),
    DeviceNotFound: (Unavailable, "model_not_loaded", None),
    ModelNotLoaded: (Unavailable, "model_not_loaded", None),
    EngineBusy: (Overloaded, "engine_busy", None),
}
"""Those that say themselves what a client can do; the first that fits counts. That of a previous response is what
OpenAI's clients know."""


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
    for kind, (told_as, code, param) in _TOLD_AS.items():
        if isinstance(error, kind):
            return told_as(code, str(error), param)
    match error:
        case StorageFull():
            return Unavailable("storage_full", "the server's disk is full; nothing was changed")
        case StorageError():
            return Unavailable("storage_failed", "the server's database failed; nothing was acknowledged")
        case _:
            return ServerFault("generation_failed", "the model failed on this turn; it can be sent again")
