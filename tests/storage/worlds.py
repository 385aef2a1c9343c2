"""Small turns and conversations that the storage tests are built from."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from storage import Store
from storage.records import Item, NewItem, NewTurn, Response


def user(name: str, text: str = "") -> NewItem:
    return NewItem(f"msg_{name}", "user", text or f"text of {name}")


def new_turn(name: str, conversation_id: str | None = "conv_1", **fields: Any) -> NewTurn:
    """A turn whose rows are called resp_<name>, msg_<name> (the user's) and msg_<name>_reply."""
    fields.setdefault("inputs", (user(name),))
    fields.setdefault("previous_response_id", None)
    fields.setdefault("request", {"temperature": 0.5, "seed": None})
    return NewTurn(
        response_id=f"resp_{name}",
        output_item_id=f"msg_{name}_reply",
        conversation_id=conversation_id,
        model="pirate",
        **fields,
    )


async def whole_turn(store: Store, name: str, conversation_id: str | None = "conv_1", **fields: Any) -> Response:
    """Begin, start and complete a turn; its reply is "reply to <name>"."""
    begun, _ = await store.begin_turn(new_turn(name, conversation_id, **fields))
    await store.start_response(begun.id, {"kept": list(begun.input_item_ids)})
    text = f"reply to {name}"
    return await store.finish_response(f"resp_{name}", "completed", text, [len(text)])


async def work_of(store: Store, query: Callable[[Connection], object]) -> int:
    """How many hundreds of steps SQLite takes for a query."""

    def counted(db: Connection) -> int:
        steps: list[None] = []
        raw: Any = db.connection.driver_connection
        raw.set_progress_handler(lambda: steps.append(None), 100)
        query(db)
        raw.set_progress_handler(None, 0)
        return len(steps)

    return await store._database.writer.submit(counted)


def content(file: Path) -> bytes:
    return file.read_bytes()


def write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def ids(items: Sequence[Item]) -> list[str]:
    return [item.id for item in items]


def damage_items(database: Path) -> None:
    """Overwrite the middle of a page that holds items."""
    connection = sqlite3.connect(database)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'items'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * (size // 2))
