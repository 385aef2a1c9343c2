"""Finding conversations by words: those of their titles, and those that were said.

There is no index of words, so that what is deleted is nowhere else.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, LargeBinary, and_, cast, exists, func, or_

from storage import rows
from storage.folding import fold
from storage.records import Item
from storage.schema import conversations, items

SEARCH_WORDS: Final = 32
SEARCH_WORD_CHARACTERS: Final = 200
"""How much is looked for of a text that is pasted into a search: SQLite takes no condition of any length."""


def words_of(search: str) -> list[str]:
    """Return the different words of a search, folded, of a long one the first; whatever has all of it has these."""
    words = (fold(word[:SEARCH_WORD_CHARACTERS]) for word in search.split())
    return list(islice(dict.fromkeys(words), SEARCH_WORDS))


def is_about(words: Sequence[str]) -> ColumnElement[bool]:
    """Whether a conversation's title has all of the words, or one of its messages has, however they are written."""
    says_all = exists().where(items.c.conversation_id == conversations.c.id, _has_all(items.c.text, words))
    return or_(_has_all(conversations.c.title, words), says_all)


def newest_found(db: Connection, conversation_ids: Sequence[str], search: str) -> dict[str, Item]:
    """Return the newest message of each conversation that has all words of a search, where there is one."""
    words = words_of(search)
    newest = {each: _newest_with(db, each, words) for each in conversation_ids} if words else {}
    return {each: item for each, item in newest.items() if item is not None}


def _newest_with(db: Connection, conversation_id: str, words: Sequence[str]) -> Item | None:
    query = rows.select_items().where(items.c.conversation_id == conversation_id, _has_all(items.c.text, words))
    row = db.execute(query.order_by(items.c.position.desc()).limit(1)).one_or_none()
    return None if row is None else rows.item(row)


def _has_all(column: Column[Any], words: Sequence[str]) -> ColumnElement[bool]:
    folded = func.fold(cast(column, LargeBinary))
    return and_(*(func.instr(folded, word) > 0 for word in words))
