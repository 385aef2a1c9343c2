"""A line of JSON as a conversation to store, with its items.

What has no id of ours in its line gets one made of that line, so that the same line is the same conversation again.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chatbot.conversation.new_turn import stored_role
from chatbot.protocol.archive import ArchivedConversation, ArchivedMessage
from chatbot.protocol.errors import InvalidRequest
from chatbot.protocol.frames import parse_object
from chatbot.protocol.requests import validate
from storage.records import ArchivedItem, Conversation
from storage.titles import title_of

_OUR_ID = re.compile(r"(conv|msg|resp)_[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A message under the id that it is stored with."""

    place: str
    """Where it stands in its line, for errors."""
    message: ArchivedMessage
    id: str
    before: str | None
    """The entry that stands before it."""


def read_line(line: bytes, now: int) -> tuple[Conversation, list[ArchivedItem]]:
    """Return the conversation of a line and its items in their order. Raises InvalidRequest."""
    said = validate(ArchivedConversation, parse_object(line))
    ids = _Ids(line, said.id)
    messages, branches = list(_entries("messages", said.messages, ids)), list(_entries("branches", said.branches, ids))
    items = _items([*messages, *branches], ids, now)
    leaf = (messages or branches)[-1].id if items else None
    conversation = Conversation(
        id=ids.conversation,
        created_at=now if said.created_at is None else said.created_at,
        title=said.title if "title" in said.model_fields_set else _title(items),
        model=said.model,
        instructions=said.instructions,
        metadata=said.metadata or {},
        listed=True,
        active_leaf=leaf,
        updated_order=0,
    )
    return conversation, items


class _Ids:
    """The ids of a line: as they are given if the conversation's is one of ours, else all made anew.

    So a line whose id was taken out is a copy, which shares nothing with the conversation that it was.
    """

    def __init__(self, line: bytes, given: str | None) -> None:
        self._are_kept = given is not None and _is_ours("conv", given)
        self.conversation = given if given is not None and self._are_kept else f"conv_{_digest(line.strip())}"

    def of(self, kind: str, given: str | None, place: str) -> str:
        """Return the id that something in the line has from now on."""
        if given is not None and self._are_kept and _is_ours(kind, given):
            return given
        return f"{kind}_{_digest(f'{self.conversation} {place}'.encode())}"


def _is_ours(kind: str, given: str) -> bool:
    return given.startswith(f"{kind}_") and _OUR_ID.fullmatch(given) is not None


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:32]


def _entries(name: str, messages: Sequence[ArchivedMessage], ids: _Ids) -> Iterator[_Entry]:
    before = None
    for number, message in enumerate(messages):
        place = f"{name}.{number}"
        entry = _Entry(place, message, ids.of("msg", message.id, place), before)
        yield entry
        before = entry.id


def _items(entries: Sequence[_Entry], ids: _Ids, now: int) -> list[ArchivedItem]:
    """Return the entries as items in the order in which they were said, each behind the one that it continues.

    Their positions are new, or the next message's might be one that no line may name.
    """
    stored_ids = {entry.message.id: entry.id for entry in entries}
    earlier: set[str | None] = {None}
    items: list[ArchivedItem] = []
    before = -1
    for position, entry in _in_order(entries):
        parent_id = _parent(entry, stored_ids)
        if parent_id not in earlier:
            raise _wrong(entry, "parent_id", "the id of a message that was said before it")
        if entry.id in earlier:
            raise _wrong(entry, "id", "an id that no other message of the line has")
        if position == before:
            raise _wrong(entry, "position", "a place that no other message of the line has")
        earlier.add(entry.id)
        items.append(_item(entry, parent_id, len(items), ids, now))
        before = position
    return items


def _in_order(entries: Sequence[_Entry]) -> list[tuple[int, _Entry]]:
    """Return the entries by their positions, or as they stand where not all have one."""
    positions = [entry.message.position for entry in entries if entry.message.position is not None]
    if len(positions) < len(entries):
        positions = list(range(len(entries)))
    return sorted(zip(positions, entries, strict=True), key=lambda placed: placed[0])


def _parent(entry: _Entry, stored_ids: Mapping[str | None, str]) -> str | None:
    """Return the id of what an entry continues: as it says, where it says so."""
    named = entry.message.parent_id
    if "parent_id" not in entry.message.model_fields_set:
        return entry.before
    return None if named is None else stored_ids.get(named, named)


def _item(entry: _Entry, parent_id: str | None, position: int, ids: _Ids, now: int) -> ArchivedItem:
    message = entry.message
    is_reply = message.role == "assistant" and message.model is not None
    return ArchivedItem(
        id=entry.id,
        parent_id=parent_id,
        position=position,
        role=stored_role(message),
        text=message.text,
        created_at=now if message.created_at is None else message.created_at,
        status=message.status,
        response_id=ids.of("resp", message.response_id, entry.place) if is_reply else None,
        model=message.model if is_reply else None,
    )


def _title(items: Sequence[ArchivedItem]) -> str | None:
    return title_of(next((item.text for item in items if item.role == "user"), "")) or None


def _wrong(entry: _Entry, field: str, expected: str) -> InvalidRequest:
    param = f"{entry.place}.{field}"
    got = str(getattr(entry.message, field))[:60]
    return InvalidRequest("invalid_parameter", f"{param}: expected {expected}, got {got!r}", param)
