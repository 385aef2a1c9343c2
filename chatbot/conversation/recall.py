"""Finding what was said before the window that the newest message may be about: BM25 over words, no model. Pure.

The index is made anew for each turn, in memory, from the messages of this conversation's own path. So a branch recalls
only itself, and what was deleted is nowhere to be found. Only a conversation that has outgrown its window pays: some
3 ms for a hundred short messages.

What makes it better than plain BM25 (0.72 of the evidence among the first ten instead of 0.56 on LoCoMo's first
conversations, 0.62 instead of 0.50 on BEAM's): stop words go; who is asked about ("my …", "did you suggest …") counts;
a short message is read together with the short one that it answers; the date can be asked for.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from functools import lru_cache
from itertools import pairwise

from storage.records import Item

PASSAGE_CHARACTERS = 400
"""A longer message is recalled by its passages, cut between sentences."""
SHORT_CHARACTERS = 300
"""How long a message and what it answers may be to be read together."""
_SPEAKER_BONUS = 0.4
"""What a message of the one who is asked about gets on top, as a share of the best score."""
_STEM_CHARACTERS = 4
"""How much of two words must be the same for one to be a form of the other."""
_FIND = "SELECT rowid, -bm25(said, 1.0, 1.0, 0.5) FROM said WHERE said MATCH ?"
"""With the weights of the columns: when it was said, the passage, and what it answers."""
_LITTLE_WORDS = """
    a about after again all also am an and any are as at back be been before but by can could did do does done during
    each else ever every for from get give go got had has have he hello her here hey hi him his how i if in into is it
    its just know let like ll look m make many maybe me mention might mine more most much must my name no not now of off
    oh ok okay on once one only or other our out over please pls re really recall remember remind s said same say she
    should so some still such sure t talk tell than thank thanks that the their them then there these they this those to
    too told up us ve very want was we well were what when where which while who whom whose why will with would yeah yes
    you your
"""
_STOP_WORDS = frozenset(_LITTLE_WORDS.split())
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_ASKS_ASSISTANT = re.compile(
    r"\b(?:did|have|had) you (?:\w+ )?(?:say|said|tell|told|suggest|suggested|recommend|recommended|mention|mentioned|"
    r"give|given|explain|explained|write|written|propose|proposed|answer|answered)\b"
    r"|\byou (?:\w+ly )?(?:said|told|suggested|recommended|mentioned|gave|explained|wrote|proposed|answered)\b"
    r"|\byour (?:\w+ )?(?:answer|suggestion|recommendation|advice|explanation|reply|proposal|joke|story)",
    re.IGNORECASE,
)
_ASKS_USER = re.compile(r"\b(?:i|me|my|mine|myself)\b", re.IGNORECASE)


def likely(question: str, earlier: Sequence[Item]) -> list[Item]:
    """Return the earlier messages that a question may be about, the likeliest first.

    Of a long message only the passage that fits best comes, as an item with that text.
    """
    words = list(dict.fromkeys(_content(question)))
    said = [item for item in earlier if item.role != "system" and item.text.strip()]
    if not words or not said:
        return []
    passages = [replace(item, text=passage) for item in said for passage in _passages(item.text)]
    speaker = _asked_about(question)
    scores = _scores(passages, said, words)
    bonus = _SPEAKER_BONUS * max(scores.values(), default=0.0)
    total = {row: score + bonus * (passages[row].role == speaker) for row, score in scores.items()}
    best: dict[str, Item] = {}
    for row in sorted(total, key=lambda row: (total[row], row), reverse=True):
        best.setdefault(passages[row].id, passages[row])
    return [passage for passage in best.values() if not _repeats(passage.text, words)]


def _content(text: str) -> list[str]:
    return [word for word in map(str.lower, _WORD.findall(text)) if word not in _STOP_WORDS]


def _repeats(passage: str, words: Sequence[str]) -> bool:
    """Whether a passage has no word but those of the question: the same was asked before, and tells nothing."""
    stems = {word[:_STEM_CHARACTERS] for word in words}
    return all(word[:_STEM_CHARACTERS] in stems for word in _content(passage))


def _scores(passages: Sequence[Item], said: Sequence[Item], words: Sequence[str]) -> dict[int, float]:
    """The BM25 of each passage that has one of the words, or stands in an exchange that does, by its number."""
    answered = {item.id: _answered(before, item) for before, item in pairwise(said)}
    rows = ((n, _date(item), item.text, answered.get(item.id, "")) for n, item in enumerate(passages))
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute("CREATE VIRTUAL TABLE said USING fts5(day, passage, answered, tokenize='porter unicode61')")
        index.executemany("INSERT INTO said (rowid, day, passage, answered) VALUES (?, ?, ?, ?)", rows)
        wanted = " OR ".join(f'"{word}"' for word in words)
        return dict(index.execute(_FIND, (wanted,)))


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


def _asked_about(question: str) -> str | None:
    if _ASKS_ASSISTANT.search(question):
        return "assistant"
    return "user" if _ASKS_USER.search(question) else None


def _date(item: Item) -> str:
    return _date_of_day(date.fromtimestamp(item.created_at))


@lru_cache
def _date_of_day(day: date) -> str:
    return f"{day:%A %d %B %Y}"
