"""An index of what was said, by its words: BM25 in the memory of SQLite. Beside it grows the one by meaning.

It is brought up to date and not made anew: of messages that it holds already, nothing is read again.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cached_property, lru_cache
from weakref import finalize

from chatbot.conversation.day import day_of
from chatbot.conversation.meaning import Vector, words_of
from chatbot.conversation.meant import Meant
from storage.records import Item

PASSAGE_CHARACTERS = 400
"""A longer message is found by its passages, cut between sentences."""
SHORT_CHARACTERS = 300
"""How long a message and what it answers may be to be read together."""
MOST_WORDS = 128
"""How many words are looked for: every one costs time, and those that were said most often tell least."""
_TOKENS = "tokenize=\"porter unicode61 remove_diacritics 0 categories 'L* M* N* Co'\""
"""It is given words, and takes them as they are but for their endings."""
_MAKE = f"""
    CREATE VIRTUAL TABLE said USING fts5(day, passage, answered, {_TOKENS});
    CREATE VIRTUAL TABLE said_word USING fts5vocab(said, row);
    CREATE VIRTUAL TABLE asked USING fts5(word, {_TOKENS});
    CREATE VIRTUAL TABLE asked_word USING fts5vocab(asked, instance);
"""
_ADD = "INSERT INTO said (rowid, day, passage, answered) VALUES (?, ?, ?, ?)"
_FIND = "SELECT rowid, -bm25(said, 1.0, 1.0, 0.5) FROM said WHERE said MATCH ?"
"""With the weights of the columns: when it was said, the passage, and what it answers."""
_RAREST = """
    SELECT word FROM asked_word CROSS JOIN said_word USING (term) JOIN asked ON asked.rowid = asked_word.doc
    ORDER BY said_word.doc, asked.rowid LIMIT ?
"""
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


class Said:
    """Passages of messages, numbered in the order in which they were said."""

    def __init__(self) -> None:
        self._messages: list[Item] = []
        self._first_passages: list[int] = []
        """The number of the first passage of each message."""
        self._passages: list[tuple[Item, str]] = []
        self._meant = Meant()

    def hold(self, messages: Sequence[Item]) -> None:
        """Hold these messages and no others; what they have in common with those held, from the first on, stays."""
        same = _common_beginning(self._messages, messages)
        first = self._first_passages[same] if same < len(self._messages) else len(self._passages)
        del self._messages[same:], self._first_passages[same:], self._passages[first:]
        with self._index as index:
            index.execute("DELETE FROM said WHERE rowid >= ?", (first,))
            index.executemany(_ADD, self._new_rows(messages[same:]))
        self._meant.hold(first, [passage for _, passage in self._passages[first:]])

    def passage(self, number: int) -> tuple[Item, str]:
        """Return a passage and the message that it is of."""
        return self._passages[number]

    def scores(self, words: Sequence[str]) -> dict[int, float]:
        """The BM25 of each passage that has one of the words, or stands in an exchange that does, by its number.

        Of more than MOST_WORDS only those count that were said, and least often.
        """
        rarest = words if len(words) <= MOST_WORDS else self._rarest(words)
        found = self._index.execute(_FIND, (" OR ".join(f'"{word}"' for word in rarest),)) if rarest else ()
        return dict(found)

    def nearness(self, question: str) -> Vector:
        """How near each passage is to a question in meaning, from 0 to 1, by its number."""
        return self._meant.nearness(question)

    def _rarest(self, words: Sequence[str]) -> list[str]:
        with self._index as index:
            index.executemany("INSERT INTO asked (word) VALUES (?)", ((word,) for word in words))
            rarest = [word for (word,) in index.execute(_RAREST, (MOST_WORDS,))]
            index.execute("DELETE FROM asked")
        return rarest

    @cached_property
    def _index(self) -> sqlite3.Connection:
        index = sqlite3.connect(":memory:", check_same_thread=False)  # used by one turn at a time, whatever its thread
        index.executescript(_MAKE)
        finalize(self, index.close)
        return index

    def _new_rows(self, messages: Sequence[Item]) -> Iterator[tuple[int, str, str, str]]:
        for item in messages:
            answered = _answered(self._messages[-1], item) if self._messages else ""
            self._messages.append(item)
            self._first_passages.append(len(self._passages))
            for passage in _passages(item.text):
                yield len(self._passages), _date(item), _as_words(passage), _as_words(answered)
                self._passages.append((item, passage))


def _common_beginning(one: Sequence[Item], other: Sequence[Item]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a is not b and a != b), min(len(one), len(other)))


def _answered(before: Item, item: Item) -> str:
    """What a short message answers, if that is short too: without it a short reply says little."""
    return before.text if max(len(before.text), len(item.text)) <= SHORT_CHARACTERS else ""


def _passages(text: str) -> Iterator[str]:
    """The text in pieces of whole sentences, as long as a passage may be where the sentences are not longer."""
    passage = ""
    for sentence in _SENTENCE_END.split(text.strip()):
        if passage and len(passage) + len(sentence) >= PASSAGE_CHARACTERS:
            yield passage
            passage = ""
        passage = f"{passage} {sentence}".strip()
    if passage:
        yield passage


def _as_words(text: str) -> str:
    """The text as the index is to have it, which finds the words of ASCII itself, and sooner."""
    return text if text.isascii() else " ".join(words_of(text))


def _date(item: Item) -> str:
    return _date_of_day(day_of(item.created_at))


@lru_cache
def _date_of_day(day: date) -> str:
    return f"{day:%A %d %B %Y}"
