"""Versions of a message: what was said in its place when it was changed or asked again. They have the same parent.

Nothing is overwritten: one version of each place is on the path to the active leaf, and another can be chosen. After a
message was deleted, the reply that moved up into its place is such a version too, or nothing would lead to the others.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, func, select

from storage import conversations, items
from storage.records import Item
from storage.schema import items as item_table


def of(db: Connection, conversation_id: str, shown: Sequence[Item]) -> Mapping[str, Sequence[str]]:
    """Ids of all versions of each of these items, oldest first, by the item's id."""
    places: dict[tuple[str | None, bool], list[str]] = defaultdict(list)
    for places_are_these in _places(shown):
        query = select(item_table.c.id, item_table.c.parent_id, item_table.c.role)
        query = query.where(item_table.c.conversation_id == conversation_id, places_are_these)
        for row in db.execute(query.order_by(item_table.c.position)):
            places[row.parent_id, row.role == "system"].append(row.id)
    return {item.id: places[item.parent_id, item.role == "system"] for item in shown}


def choose(db: Connection, conversation_id: str, item_id: str) -> None:
    """Have the conversation go on from this item, or from the newest of what followed it."""
    item = items.fetch(db, conversation_id, item_id)
    conversations.change(db, conversation_id, active_leaf=items.newest_leaf(db, conversation_id, item.id))


def _places(shown: Sequence[Item]) -> Iterator[ColumnElement[bool]]:
    """What has one of the parents of these items; the roots apart, for NULL is in no list."""
    parents = [item.parent_id for item in shown if item.parent_id is not None]
    wanted = func.json_each(json.dumps(parents)).table_valued("value")  # one parameter, however many ids
    yield item_table.c.parent_id.in_(select(wanted.c.value))
    if len(parents) < len(shown):
        yield item_table.c.parent_id.is_(None)
