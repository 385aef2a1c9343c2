"""The tree of items in a conversation: paths, growth at a leaf, removal of a node.

Invariant: an item's position is greater than its parent's, so a path ordered by position runs from root to
leaf, and a walk up the tree always ends.
"""

import json
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from typing import Any, Literal

from sqlalchemy import (
    CTE,
    BindParameter,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from storage import conversations, rows
from storage.errors import ItemNotFound
from storage.records import Item, ItemStatus, KnownPath, NewItem
from storage.schema import items
from storage.titles import title_of

Order = Literal["asc", "desc"]


def append(db: Connection, conversation_id: str, new: Sequence[NewItem], now: int) -> list[Item]:
    """Chain the items under the active leaf; the last one becomes the active leaf."""
    leaf = conversations.fetch(db, conversation_id).active_leaf
    return grow(db, conversation_id, leaf, [(entry, "completed") for entry in new], now)


def grow(
    db: Connection,
    conversation_id: str,
    parent_id: str | None,
    new: Sequence[tuple[NewItem, ItemStatus]],
    now: int,
) -> list[Item]:
    """Chain the items under the parent (None: a new root), activate the last one, and return them."""
    if not new:
        return []
    position = conversations.extend(db, conversation_id, len(new), new[-1][0].id)
    chain: list[Item] = []
    for entry, status in new:
        item = Item(
            id=entry.id,
            conversation_id=conversation_id,
            parent_id=parent_id,
            position=position + len(chain),
            role=entry.role,
            status=status,
            text=entry.text,
            response_id=None,
            created_at=now,
        )
        chain.append(item)
        parent_id = item.id
    db.execute(insert(items), [rows.item_values(item) for item in chain])
    return chain


def fetch(db: Connection, conversation_id: str, item_id: str) -> Item:
    """Return the item, or raise ItemNotFound if this conversation has none with this id."""
    row = db.execute(_select_one(), {"id": item_id, "conversation_id": conversation_id}).one_or_none()
    if row is None:
        raise ItemNotFound(
            f"item {item_id!r}: expected an item of conversation {conversation_id!r}, but there is none"
            " with this id; list the items of the conversation"
        )
    return rows.item(row)


def missing(db: Connection, conversation_id: str, item_ids: Sequence[str]) -> list[str]:
    """Return those of the ids under which the conversation has no item."""
    wanted = func.json_each(json.dumps(list(item_ids))).table_valued("value")  # one parameter, however many ids
    stored = select(items.c.id).where(items.c.id == wanted.c.value, items.c.conversation_id == conversation_id)
    return list(db.execute(select(wanted.c.value).where(~stored.exists())).scalars())


def path(
    db: Connection,
    conversation_id: str,
    leaf: str | None,
    *,
    after: str | None = None,
    limit: int | None = None,
    order: Order = "asc",
) -> list[Item]:
    """Items from the root to the leaf (None: the active leaf).

    Args:
        after: leave out everything up to this item in the asked order.
        limit: at most this many items.
        order: "desc" runs from the leaf to the root; the page behind an item is what led to that, on any branch, so
            that who goes back stays on one though another is chosen meanwhile.
    """
    conversation = conversations.fetch(db, conversation_id)
    if leaf is None:
        leaf = conversation.active_leaf
    else:
        fetch(db, conversation_id, leaf)
    known = None if after is None else fetch(db, conversation_id, after)
    if order == "asc":
        ancestry = walk_up(leaf, above=known.position if known else -1)
    else:
        ancestry = walk_up(known.parent_id if known else leaf, most=limit)
    query = rows.select_items().join(ancestry, items.c.id == ancestry.c.id)
    query = query.order_by(items.c.position if order == "asc" else items.c.position.desc())
    return [rows.item(row) for row in db.execute(query.limit(limit))]


def instructions(db: Connection, conversation_id: str, leaf: str | None) -> list[str]:
    """Texts of the system messages from the root to the leaf."""
    of_system = items.c.role == "system"
    if db.execute(select(items.c.id).where(items.c.conversation_id == conversation_id, of_system)).first() is None:
        return []  # most conversations have none, and are not walked
    ancestry = walk_up(leaf)
    query = rows.select_items().join(ancestry, items.c.id == ancestry.c.id).where(of_system)
    return [rows.item(row).text for row in db.execute(query.order_by(items.c.position))]


def path_from(db: Connection, conversation_id: str, leaf: str, known: KnownPath) -> KnownPath:
    """Items from the root to the leaf, of which only those are read that are not known.

    The text of an item that is not in progress stays as it is, and so does its place unless an item is deleted.
    """
    fetch(db, conversation_id, leaf)
    deleted = _deleted(db, conversation_id)
    begin = list(takewhile(_is_settled, known.items)) if known.deleted == deleted else []
    new = _climb(db, leaf, above=begin[-1].position if begin else -1)
    parent_id = new[0].parent_id if new else leaf
    while begin and begin[-1].id != parent_id:
        begin.pop()
    if not begin and parent_id is not None:  # it branches off from what is not known
        new = _climb(db, leaf, above=-1)
    return KnownPath((*begin, *new), deleted)


def _deleted(db: Connection, conversation_id: str) -> int:
    """How many items were deleted: a position is never used twice."""
    left = db.execute(_select_count(), {"conversation_id": conversation_id}).scalar_one()
    return conversations.next_position(db, conversation_id) - int(left)


@cache
def _select_count() -> Select[Any]:
    return select(func.count()).where(items.c.conversation_id == bindparam("conversation_id"))


def _is_settled(item: Item) -> bool:
    return item.status != "in_progress"


def _climb(db: Connection, leaf: str, above: int) -> list[Item]:
    """Items on the path to the leaf whose position is above this one, the root's first."""
    return [rows.item(row) for row in db.execute(_select_above(), {"leaf": leaf, "above": above})]


@cache
def _select_one() -> Select[Any]:
    same = (items.c.id == bindparam("id"), items.c.conversation_id == bindparam("conversation_id"))
    return rows.select_items().where(*same)


@cache
def _select_above() -> Select[Any]:
    ancestry = walk_up(bindparam("leaf"), above=bindparam("above"))
    return rows.select_items().join(ancestry, items.c.id == ancestry.c.id).order_by(items.c.position)


def walk_up(
    leaf: str | BindParameter[str] | None, *, above: int | BindParameter[int] = -1, most: int | None = None
) -> CTE:
    """Ids from the leaf towards the root, down to a position: the `most` nearest to it; no others are read."""
    start = select(items.c.id, items.c.parent_id, items.c.position, literal(1).label("taken"))
    walk = start.where(items.c.id == leaf, items.c.position > above).cte("ancestry", recursive=True)
    step = select(items.c.id, items.c.parent_id, items.c.position, walk.c.taken + 1).join(
        walk, (items.c.id == walk.c.parent_id) & (items.c.position < walk.c.position) & (items.c.position > above)
    )
    return walk.union_all(step if most is None else step.where(walk.c.taken < most))


def newest_leaf(db: Connection, conversation_id: str, item_id: str | None) -> str | None:
    """The newest leaf at or below the item, or of the whole conversation (None: it is empty)."""
    if item_id is None:
        roots = select(items.c.id).where(items.c.conversation_id == conversation_id, items.c.parent_id.is_(None))
        item_id = db.execute(roots.order_by(items.c.position.desc()).limit(1)).scalar_one_or_none()
    walk = select(items.c.id, items.c.position).where(items.c.id == item_id).cte("descent", recursive=True)
    children = items.alias("children")
    newest = select(func.max(children.c.position)).where(children.c.parent_id == walk.c.id).scalar_subquery()
    step = select(items.c.id, items.c.position).join(
        walk, (items.c.parent_id == walk.c.id) & (items.c.position == newest)
    )
    walk = walk.union_all(step)
    return db.execute(select(walk.c.id).order_by(walk.c.position.desc()).limit(1)).scalar_one_or_none()


def write_reply(db: Connection, item_id: str, text: str, status: ItemStatus) -> None:
    """Set the text and status of a reply."""
    db.execute(update(items).where(items.c.id == item_id).values(text=text, status=status))


def remove(db: Connection, conversation_id: str, item_id: str) -> None:
    """Delete the item and the response that wrote it; its children move up to its parent.

    If it was the active leaf, the newest other version of its place is active with what followed it, else its parent.
    """
    item = fetch(db, conversation_id, item_id)
    parent_id, conversation = item.parent_id, conversations.fetch(db, conversation_id)
    was_active = conversation.active_leaf == item_id
    db.execute(update(items).where(items.c.parent_id == item_id).values(parent_id=parent_id))
    db.execute(delete(items).where(items.c.id == item_id))
    gave_title = conversation.title == title_of(item.text)
    conversations.change(
        db,
        conversation_id,
        active_leaf=newest_leaf(db, conversation_id, parent_id) if was_active else conversations.UNCHANGED,
        title=_next_title(db, conversation_id) if gave_title else conversations.UNCHANGED,
    )


def _next_title(db: Connection, conversation_id: str) -> str | None:
    """The title after the message is gone that gave it: the oldest one's that is left of the user."""
    said = select(items.c.text).where(items.c.conversation_id == conversation_id, items.c.role == "user")
    oldest = db.execute(said.order_by(items.c.position).limit(1)).scalar_one_or_none()
    return title_of(oldest) or None if oldest else None
