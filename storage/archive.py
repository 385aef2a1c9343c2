"""Whole conversations, read piece by piece however long they are, and put back, each in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from storage import conversations, delta_lengths
from storage.errors import ConversationNotFound
from storage.items import walk_up
from storage.reader import Reader
from storage.records import ArchivedItem, Conversation
from storage.schema import conversations as conversation_table
from storage.schema import items, response_inputs, responses
from storage.writer import Writer


@dataclass(frozen=True, slots=True)
class Outline:
    """A conversation at one moment; its items are read afterwards, without those that came since."""

    conversation: Conversation
    path: frozenset[int]
    """Positions from the root to the active leaf."""
    end: int
    """The position after the last one."""
    has_branches: bool


class Archive:
    """Reads no more than a page at once, and no page for long: a long read would keep deleted text in the files."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    async def ids(self) -> list[str]:
        """Ids of the listed conversations, last changed last: restored in this order, they are listed as they were."""
        query = select(conversation_table.c.id).where(conversation_table.c.listed.is_(True))
        query = query.order_by(conversation_table.c.updated_order)
        return await self._reader.read(lambda db: list(db.execute(query).scalars()))

    async def outline(self, conversation_id: str) -> Outline:
        """Return the conversation without its items, or raise ConversationNotFound."""
        return await self._reader.read(partial(_outline, conversation_id=conversation_id))

    async def items(self, outline: Outline, *, begin: int, limit: int) -> list[ArchivedItem]:
        """Items of all branches in the order in which they were said, from a position on."""
        return await self._reader.read(partial(_items, outline=outline, begin=begin, limit=limit))

    async def restore(self, conversation: Conversation, archived: Sequence[ArchivedItem]) -> bool:
        """Store a conversation with items of every branch, parents first; False if one with its id is listed already.

        One that is here and hidden is listed from now on. Raises AlreadyExists if the id of an item or response is
        taken by another conversation.
        """
        return await self._writer.submit(partial(_restore, conversation=conversation, archived=archived))


def _outline(db: Connection, conversation_id: str) -> Outline:
    conversation = conversations.fetch(db, conversation_id)
    on_path = items.c.position.in_(select(walk_up(conversation.active_leaf).c.position))
    places = select(items.c.position, on_path).where(items.c.conversation_id == conversation_id)
    path, beside = set(), -1
    for position, is_on_path in db.execute(places):
        if is_on_path:
            path.add(position)
        else:
            beside = max(beside, position)
    end = max([beside, *path]) + 1
    return Outline(conversation, frozenset(path), end, has_branches=beside >= 0)


def _items(db: Connection, outline: Outline, begin: int, limit: int) -> list[ArchivedItem]:
    query = (
        select(items, responses.c.id.label("response_id"), responses.c.model, responses.c.state)
        .outerjoin_from(items, responses, responses.c.output_item_id == items.c.id)
        .where(items.c.conversation_id == outline.conversation.id)
        .where(items.c.position >= begin, items.c.position < outline.end)
        .order_by(items.c.position)
    )
    return [_archived(row) for row in db.execute(query.limit(limit))]


def _archived(row: Row[Any]) -> ArchivedItem:
    """A reply on its way is one that was cut off, for whoever reads it elsewhere."""
    status = row.state or row.status
    return ArchivedItem(
        id=row.id,
        parent_id=row.parent_id,
        position=row.position,
        role=row.role,
        text=row.text,
        created_at=row.created_at,
        status="incomplete" if status in ("queued", "in_progress") else status,
        response_id=row.response_id,
        model=row.model,
    )


def _restore(db: Connection, conversation: Conversation, archived: Sequence[ArchivedItem]) -> bool:
    if (known := _known(db, conversation.id)) is not None:
        if not known.listed:
            conversations.change(db, conversation.id, listed=True)
        return not known.listed
    conversations.create(
        db,
        conversation.id,
        title=conversation.title,
        model=conversation.model,
        instructions=conversation.instructions,
        metadata=conversation.metadata,
        listed=conversation.listed,
        now=conversation.created_at,
    )
    if archived and conversation.active_leaf is not None:
        db.execute(insert(items), [_item_row(conversation.id, item) for item in archived])
        _restore_responses(db, conversation.id, archived)
        conversations.extend(db, conversation.id, archived[-1].position + 1, conversation.active_leaf)
    return True


def _known(db: Connection, conversation_id: str) -> Conversation | None:
    try:
        return conversations.fetch(db, conversation_id)
    except ConversationNotFound:
        return None


def _restore_responses(db: Connection, conversation_id: str, archived: Sequence[ArchivedItem]) -> None:
    """Store the responses that wrote items, each with the item it answers as its input."""
    written = [item for item in archived if item.response_id is not None]
    if not written:
        return
    db.execute(insert(responses), [_response_row(conversation_id, item) for item in written])
    links = [
        {"response_id": item.response_id, "ordinal": 0, "item_id": item.parent_id}
        for item in written
        if item.parent_id is not None
    ]
    if links:
        db.execute(insert(response_inputs), links)


def _item_row(conversation_id: str, item: ArchivedItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "conversation_id": conversation_id,
        "parent_id": item.parent_id,
        "position": item.position,
        "role": item.role,
        "status": "completed" if item.status == "completed" else "incomplete",
        "text": item.text,
        "created_at": item.created_at,
    }


def _response_row(conversation_id: str, item: ArchivedItem) -> dict[str, Any]:
    return {
        "id": item.response_id,
        "conversation_id": conversation_id,
        "output_item_id": item.id,
        "model": item.model,
        "request": {},
        "state": item.status,
        "created_at": item.created_at,
        "completed_at": item.created_at,
        "delta_lengths": delta_lengths.encode([len(item.text)] if item.text else []),
    }
