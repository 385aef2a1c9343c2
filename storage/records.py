"""The rows that storage gives out, as plain frozen records.

Times are unix seconds; order is always an integer, never a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

ItemRole = Literal["system", "user", "assistant"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseState = Literal["queued", "in_progress", "completed", "cancelled", "incomplete", "failed"]
SettledState = Literal["completed", "cancelled", "incomplete", "failed"]
INTERRUPTED: Final = "server_restart"
"""Incomplete reason of a response that a crash or restart of the server cut off."""


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    created_at: int
    title: str | None
    model: str | None
    """Persona used when a turn names none."""
    instructions: str | None
    """System prompt of this conversation; None means the persona's own."""
    metadata: Mapping[str, str]
    listed: bool
    """False for the hidden conversation of a response that was made without one."""
    active_leaf: str | None
    """Item the next turn continues from; None while empty."""
    updated_order: int
    """Grows with every change anywhere; newest first is the order of lists."""


@dataclass(frozen=True, slots=True)
class NewItem:
    id: str
    role: ItemRole
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    conversation_id: str
    parent_id: str | None
    position: int
    """Unique and growing within the conversation."""
    role: ItemRole
    status: ItemStatus
    text: str
    response_id: str | None
    """The response that wrote this item, if it is a reply."""
    created_at: int
    model: str | None = None
    """Who wrote it, if it is a reply."""


@dataclass(frozen=True, slots=True)
class ArchivedItem:
    """An item as it leaves the database and comes back, with what goes along of the response that wrote it."""

    id: str
    parent_id: str | None
    position: int
    role: ItemRole
    text: str
    created_at: int
    status: SettledState
    """How the response ended, or whether the item is whole where it has none."""
    response_id: str | None = None
    model: str | None = None
    """Who wrote it; None where it has no response."""


@dataclass(frozen=True, slots=True)
class KnownPath:
    """Items from the root of a conversation to one of its leaves, kept by a reader who will ask for a longer path."""

    items: tuple[Item, ...] = ()
    deleted: int = 0
    """How many items the conversation had lost when this was read."""


@dataclass(frozen=True, slots=True)
class NewTurn:
    """Everything that begins a turn; stored in one transaction."""

    response_id: str
    output_item_id: str
    conversation_id: str | None
    """None makes a hidden conversation, or continues that of previous_response_id."""
    previous_response_id: str | None
    inputs: tuple[NewItem, ...]
    model: str
    request: Mapping[str, Any]
    """The request's settings (instructions, sampling, metadata, store, ...) as JSON, given back unchanged."""
    idempotency_key: str | None = None
    body_sha256: str | None = None
    parent_item_id: str | None = None
    """Branch from this item instead of the active leaf (edit, regenerate)."""
    at_root: bool = False
    """Begin a new branch without a parent (edit of the first message); wins over parent_item_id."""


@dataclass(frozen=True, slots=True)
class Response:
    id: str
    conversation_id: str
    previous_response_id: str | None
    input_item_ids: tuple[str, ...]
    output_item_id: str
    model: str
    request: Mapping[str, Any]
    state: ResponseState
    created_at: int
    completed_at: int | None
    text: str
    delta_lengths: tuple[int, ...]
    """Characters of each streamed delta, in order; their sum is len(text).

    Makes every event a function of this row.
    """
    incomplete_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    usage: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    """What the model saw: ids of kept and recalled items, tokens, adapter digest."""
