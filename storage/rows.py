"""Rows of the tables as the records of storage.records.

Statements that every turn asks are made once: to make one takes several times as long as to run it.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, select

from storage import delta_lengths
from storage.records import Conversation, Item, Response
from storage.schema import conversations, items, responses


@cache
def select_conversations() -> Select[Any]:
    """Conversations, the columns that `conversation` takes."""
    return select(*(column for column in conversations.c if column.name != "next_position"))


@cache
def select_items() -> Select[Any]:
    """Items together with the response that wrote each, the columns that `item` takes."""
    written = select(items, responses.c.id.label("response_id"), responses.c.model)
    return written.outerjoin_from(items, responses, responses.c.output_item_id == items.c.id)


@cache
def select_responses() -> Select[Any]:
    """Responses together with their text, the columns that `response` takes."""
    return select(responses, items.c.text).join_from(responses, items, items.c.id == responses.c.output_item_id)


def conversation(row: Row[Any]) -> Conversation:
    return Conversation(**row._mapping)


def item(row: Row[Any]) -> Item:
    return Item(**row._mapping)


def item_values(record: Item) -> dict[str, Any]:
    """Columns of an item to insert; the response that wrote it points to it, not the other way."""
    return {column.name: getattr(record, column.name) for column in items.c}


def response(row: Row[Any], input_item_ids: Sequence[str]) -> Response:
    fields = dict(row._mapping)
    fields["delta_lengths"] = delta_lengths.decode(fields["delta_lengths"])
    return Response(**fields, input_item_ids=tuple(input_item_ids))
