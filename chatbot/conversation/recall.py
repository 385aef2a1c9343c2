"""Finding what was said before the window that the newest message may be about: BM25 over words, and their meaning.

The index holds the messages of this conversation's own path and is compared with them for each turn. So a branch
recalls only itself, and what was deleted is nowhere to be found.

What makes it better than plain BM25 (0.75 of the evidence among the first ten instead of 0.56 on LoCoMo's first
conversations, 0.67 instead of 0.50 on BEAM's): stop words go; who is asked about ("my …", "did you suggest …") counts,
and what users say of themselves when it is they; a short message is read together with the short one that it answers,
and any message beside its neighbours; the date can be asked for; and words of like meaning count a little (0.01 of both
figures, but all of what is found of everyday questions that have no word in common with what was said).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from chatbot.conversation.meaning import STOP_WORDS, words_of
from chatbot.conversation.said import Said
from storage.records import Item

_SPEAKER_BONUS = 0.4
"""What a message of the one who is asked about gets on top, as a share of the best score."""
_SELF_BONUS = 0.2
"""What it gets beside that where the user is asked about and speaks of themselves."""
_NEIGHBOUR_SHARE = 0.15
"""What a passage gets of the scores of the one before and the one after it: people stay with a subject for a while."""
_MEANING_SHARE = 0.5
"""What a passage of the same meaning gets, as a share of what that gets which fits best by its words."""
_NEAREST = 10
"""How many passages come for their meaning alone."""
_ASKS_ASSISTANT = re.compile(
    r"\b(?:did|have|had) you (?:\w+ )?(?:say|said|tell|told|suggest|suggested|recommend|recommended|mention|mentioned|"
    r"give|given|explain|explained|write|written|propose|proposed|answer|answered)\b"
    r"|\byou (?:\w+ly )?(?:said|told|suggested|recommended|mentioned|gave|explained|wrote|proposed|answered)\b"
    r"|\byour (?:\w+ )?(?:answer|suggestion|recommendation|advice|explanation|reply|proposal|joke|story)",
    re.IGNORECASE,
)
_ASKS = re.compile(r"[?？؟]\W*$|^\W*(?:how|what|when|where|which|who|whose|why)s?\b", re.IGNORECASE)
_OF_ONESELF = re.compile(r"\b(?:i|me|my|mine|myself)\b", re.IGNORECASE)


def likely(question: str, earlier: Sequence[Item], said: Said | None = None) -> Iterator[Item]:
    """Give the earlier messages that a question may be about, the likeliest first.

    Of a long message only the passage that fits best comes, as an item with that text; of what a speaker said several
    times the newest. `said` is an index to bring up to date: one that is kept from turn to turn saves reading all of
    them again.
    """
    words = list(dict.fromkeys(_content(question)))
    told = [item for item in earlier if item.role != "system" and item.text.strip()]
    if not words or not told:
        return
    said = said or Said()
    said.hold(told)
    scores = _scores(said, question, words)
    newest = {(item.role, passage): item for item, passage in map(said.passage, sorted(scores))}
    given: set[str] = set()
    for row in _ranked(said, scores, _asked_about(question)):
        item, passage = said.passage(row)
        item = newest[item.role, passage]
        if item.id not in given and not _asks_the_same(item, passage, words):
            given.add(item.id)
            yield replace(item, text=passage)


def _scores(said: Said, question: str, words: Sequence[str]) -> dict[int, float]:
    """How well passages fit by their words, as a share of the best, and by their meaning.

    Of those without a word of the question only the nearest few are among them.
    """
    by_words, near = said.scores(words), said.nearness(question)
    best = max(by_words.values(), default=1.0)
    nearest = near.argpartition(-min(_NEAREST, len(near)))[-_NEAREST:]
    by_meaning = (_MEANING_SHARE * near).tolist()
    rows = {*by_words, *nearest[near[nearest] > 0].tolist()}
    return {row: by_words.get(row, 0.0) / best + by_meaning[row] for row in rows}


def _ranked(said: Said, scores: Mapping[int, float], speaker: str | None) -> list[int]:
    """The numbers of the passages, that first which fits best by its words, its neighbours and who said it."""
    best = max(scores.values(), default=0.0)
    total = {
        row: score
        + _NEIGHBOUR_SHARE * (scores.get(row - 1, 0.0) + scores.get(row + 1, 0.0))
        + best * _bonus(*said.passage(row), speaker)
        for row, score in scores.items()
    }
    return sorted(total, key=lambda row: (total[row], row), reverse=True)


def _bonus(item: Item, passage: str, speaker: str | None) -> float:
    if item.role != speaker:
        return 0.0
    return _SPEAKER_BONUS + (_SELF_BONUS if speaker == "user" and _OF_ONESELF.search(passage) else 0.0)


def _content(text: str) -> list[str]:
    return [word for word in words_of(text) if word not in STOP_WORDS]


def _asks_the_same(item: Item, passage: str, words: Sequence[str]) -> bool:
    """Whether users only asked there, and with no word but those of the question: that tells nothing."""
    return item.role == "user" and bool(_ASKS.search(passage)) and set(words).issuperset(_content(passage))


def _asked_about(question: str) -> str | None:
    if _ASKS_ASSISTANT.search(question):
        return "assistant"
    return "user" if _OF_ONESELF.search(question) else None
