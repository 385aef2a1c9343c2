"""A whole conversation as one line of JSON: written piece by piece, and what such a line may say when it is read.

`messages` lead to the newest message, so that every program that reads chats reads the line; `branches` are the
others. A message continues the one that stands before it in its list, unless `parent_id` names another.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from chatbot.protocol.requests import ListOf, Message, Metadata, Request, Title
from chatbot.protocol.resources import conversation_resource
from storage.records import ArchivedItem, Conversation, SettledState

TIME_END_S = 253_370_764_800
"""The year 9999: no calendar goes much further, and times in milliseconds are beyond it."""


def in_seconds(time: int) -> int:
    """Return a time since 1970 in seconds: what is beyond every calendar is in milliseconds or finer."""
    while time >= TIME_END_S:
        time //= 1000
    return time


ForeignId = Annotated[str | None, BeforeValidator(lambda given: str(given) if isinstance(given, int) else given)]
"""Other programs number what they write."""
UnixSeconds = Annotated[int, Field(ge=0, lt=2**63), AfterValidator(in_seconds)]
Place = Annotated[int, Field(ge=0, lt=2**31)]


class ArchivedMessage(Message):
    """A message of a line."""

    role: Literal["user", "assistant", "system", "developer"]
    id: ForeignId = None
    parent_id: ForeignId = None
    position: Place | None = None
    """Its place in the order in which all messages, those of branches too, were said."""
    created_at: UnixSeconds | None = None
    status: SettledState = "completed"
    model: str | None = None
    """Who wrote a reply."""
    response_id: str | None = None


class ArchivedConversation(Request):
    """A line; nothing but `messages` is needed."""

    id: ForeignId = None
    created_at: UnixSeconds | None = None
    title: Title | None = None
    model: str | None = None
    instructions: str | None = None
    metadata: Metadata | None = None
    messages: ListOf[ArchivedMessage]
    branches: Annotated[ListOf[ArchivedMessage], Field(default_factory=list)]


def archived_conversation(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation without its messages and without the number of its last change, which is this server's."""
    resource = conversation_resource(conversation)
    return {name: resource[name] for name in ("id", "created_at", "title", "model", "instructions", "metadata")}


def archived_message(item: ArchivedItem, previous_id: str | None, *, with_position: bool) -> dict[str, Any]:
    """Return a message that stands behind `previous_id` in its list; what goes without saying is left out."""
    message: dict[str, Any] = {"id": item.id, "role": item.role, "content": item.text, "created_at": item.created_at}
    if with_position:
        message["position"] = item.position
    if item.parent_id != previous_id:
        message["parent_id"] = item.parent_id
    if item.status != "completed":
        message["status"] = item.status
    if item.response_id is not None:
        message |= {"model": item.model, "response_id": item.response_id}
    return message
