"""Conversations: made, found, listed, changed, deleted.

Every change takes the next number of the change counter, so that "newest first" never asks the clock.
"""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, insert, select, update

from storage import rows
from storage.errors import ConversationNotFound
from storage.records import Conversation
from storage.schema import change_counter, conversations
from storage.search import is_about, words_of


class Unchanged(Enum):
    """Tells "leave as it is" from None, which is a value."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


def create(
    db: Connection,
    conversation_id: str,
    *,
    title: str | None,
    model: str | None,
    instructions: str | None,
    metadata: Mapping[str, str],
    listed: bool,
    now: int,
) -> None:
    """Insert an empty conversation."""
    db.execute(
        insert(conversations).values(
            id=conversation_id,
            created_at=now,
            title=title,
            model=model,
            instructions=instructions,
            metadata=dict(metadata),
            listed=listed,
            next_position=0,
            updated_order=next_change(db),
        )
    )


def fetch(db: Connection, conversation_id: str) -> Conversation:
    """Return the conversation, or raise ConversationNotFound."""
    row = db.execute(_select_one(), {"id": conversation_id}).one_or_none()
    if row is None:
        raise _not_found(conversation_id)
    return rows.conversation(row)


def listed(
    db: Connection, *, limit: int, after: str | None, before: int | None, title: str | None, search: str
) -> list[Conversation]:
    """Listed conversations, last changed first.

    `before` is the number of the change that the previous page ended with: it stays where it was while conversations
    change or go. `after` is the id that it ended with, wherever that one is now. `title` leaves out all others, and
    `search` those where neither the title nor any one message has all of its words.
    """
    query = rows.select_conversations().where(conversations.c.listed.is_(True))
    if title is not None:
        query = query.where(conversations.c.title == title)
    if words := words_of(search):
        query = query.where(is_about(words))
    if before is not None:
        query = query.where(conversations.c.updated_order < before)
    if after is not None:
        query = query.where(conversations.c.updated_order < fetch(db, after).updated_order)
    found = db.execute(query.order_by(conversations.c.updated_order.desc()).limit(limit))
    return [rows.conversation(row) for row in found]


def change(db: Connection, conversation_id: str, **values: Any) -> None:
    """Set the columns whose value is not UNCHANGED, and count the change."""
    wanted = {name: value for name, value in values.items() if value is not UNCHANGED}
    _update(db, conversation_id, wanted)


def extend(db: Connection, conversation_id: str, count: int, leaf: str) -> int:
    """Make the leaf active and return the first of `count` positions that were never used here."""
    values = {"next_position": conversations.c.next_position + count, "active_leaf": leaf}
    return _update(db, conversation_id, values) - count


def next_position(db: Connection, conversation_id: str) -> int:
    """Return the position that the next item takes: as many were ever made."""
    query = select(conversations.c.next_position).where(conversations.c.id == conversation_id)
    return int(db.execute(query).scalar_one())


def remove(db: Connection, conversation_id: str) -> None:
    """Delete the conversation with its items and responses."""
    if not db.execute(delete(conversations).where(conversations.c.id == conversation_id)).rowcount:
        raise _not_found(conversation_id)


def next_change(db: Connection) -> int:
    """Count one more change and return its number."""
    statement = update(change_counter).values(value=change_counter.c.value + 1).returning(change_counter.c.value)
    return int(db.execute(statement).scalar_one())


def _update(db: Connection, conversation_id: str, values: Mapping[str, Any | ColumnElement[Any]]) -> int:
    statement = (
        update(conversations)
        .where(conversations.c.id == conversation_id)
        .values({**values, "updated_order": next_change(db)})
        .returning(conversations.c.next_position)
    )
    row = db.execute(statement).one_or_none()
    if row is None:
        raise _not_found(conversation_id)
    return int(row[0])


@cache
def _select_one() -> Select[Any]:
    return rows.select_conversations().where(conversations.c.id == bindparam("id"))


def _not_found(conversation_id: str) -> ConversationNotFound:
    return ConversationNotFound(
        f"conversation {conversation_id!r}: expected a stored conversation, but there is none with this id;"
        " list the conversations or create one"
    )
