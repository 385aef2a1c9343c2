"""What the vectors are learnt from: texts as lists of turns, and which turn another one should be near to."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapters.recipes.base.corpus import blocks_of, messages_of
from adapters.recipes.dialogues import dialogues
from chatbot.conversation.meaning import words_of

SHARES = {
    "self_dialogue.jsonl": 1.0,
    "topical_chat.jsonl": 1.0,
    "spc.jsonl": 2.0,
    "convai2_valid.jsonl": 2.0,
    "sgd.jsonl": 0.3,
    "star.jsonl": 0.1,
    "gpteacher_roleplay.jsonl": 1.0,
    "dolly_subset.jsonl": 1.0,
    "trivia_qa.jsonl": 1.0,
    "fairytaleqa.jsonl": 1.0,
    "wordset_definitions.jsonl": 2.0,
    "tinystories_bits.txt": 1.0,
    "storybooks_ccby.txt": 1.0,
    "fairytale_stories.txt": 1.0,
    "classics_children.txt": 1.0,
    "classics_plain_fiction.txt": 0.5,
    "wikipedia_easy.txt": 1.5,
}
"""How much the texts of a source count beside their number."""
OWN = "own dialogues"
OWN_SHARE = 0.3
_OWN_DIALOGUES = 10_000
_TASKS_KEPT = 8
"""Of the bookings, which are much alike, one in so many is read."""
_MOST_WORDS = 80
_PAIRS_PER_TEXT = 3
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Source:
    """The texts of one source: turns as numbers of words."""

    share: float
    texts: list[list[Ids]]
    prose: bool

    def pairs(self, rng: random.Random) -> list[tuple[Ids, Ids]]:
        """Turns and what follows them: in talk the next one, in prose the next two of some sentences."""
        found = [pair for text in self.texts for pair in (self._drawn(text, rng) if self.prose else pairwise(text))]
        return [(one, other) for one, other in found if len(one) and len(other)]

    def _drawn(self, text: list[Ids], rng: random.Random) -> Iterator[tuple[Ids, Ids]]:
        for _ in range(_PAIRS_PER_TEXT if len(text) > _PAIRS_PER_TEXT else 0):
            at = rng.randrange(len(text) - 2)
            yield text[at], np.concatenate(text[at + 1 : at + 3])


def read(folder: Path, count: int) -> tuple[list[str], npt.NDArray[np.float64], dict[str, Source]]:
    """The `count` words that are most frequent, how often each stands there, and the sources in their numbers."""
    turns = {name: list(_texts(folder, name)) for name in SHARES} | {OWN: list(_own())}
    often: Counter[str] = Counter()
    for name, texts in turns.items():
        counted = Counter(word for text in texts for turn in text for word in turn)
        often.update({word: n * min(1.0, _share(name)) for word, n in counted.items()})
    words = [word for word, _ in often.most_common() if not word.isdigit()][:count]
    number = {word: n for n, word in enumerate(words)}
    sources = {
        name: Source(_share(name), [[_numbers(turn, number) for turn in text] for text in texts], name.endswith(".txt"))
        for name, texts in turns.items()
    }
    return words, np.array([often[word] for word in words]), sources


def _share(name: str) -> float:
    return SHARES.get(name, OWN_SHARE)


def _numbers(turn: Sequence[str], number: dict[str, int]) -> Ids:
    return np.array([number[word] for word in turn if word in number], np.int32)


def _texts(folder: Path, name: str) -> Iterator[list[list[str]]]:
    if name.endswith(".txt"):
        for block in blocks_of(folder, name):
            yield [_words(s) for line in block for s in _SENTENCE_END.split(line) if len(s) > 15]
        return
    for place, messages in enumerate(messages_of(folder, name)):
        if name in ("sgd.jsonl", "star.jsonl") and place % _TASKS_KEPT:
            continue
        said = [m["content"] for m in messages if m["role"] != "system"]
        if name == "fairytaleqa.jsonl":  # a story, a question on a line of its own, and the answer
            story, _, question = said[0].rpartition("\n")
            said = [question, f"{story} {said[1]}"]
        yield [_words(text) for text in said]


def _own() -> Iterator[list[list[str]]]:
    for dialogue in dialogues(5, _OWN_DIALOGUES):
        yield [_words(m["content"]) for m in dialogue.messages if m["role"] != "system"]


def _words(text: str) -> list[str]:
    return words_of(text)[:_MOST_WORDS]
