"""How a poet would say what the assistant says: the answer, and a couplet that goes with it.

A small model learns couplets by heart, but cannot find a rhyme to any given word: a line that rhymed with the answer's
last one was tried, and taught it lines that only looked like verse.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from adapters.recipes.personas.deck import Deck
from adapters.recipes.personas.poems import LINE, poem_chats
from adapters.recipes.personas.retold import BASE_NAME, Tell, Voice
from adapters.recipes.personas.sentences import echoes, parted
from adapters.recipes.personas.subjects import GENERAL, subject_of
from adapters.recipes.personas.turns import Turns

HERE = Path(__file__).resolve().parent
POEM_CHATS = 2600
POEM_SEED = 5
SELF = re.compile(r"\b(?:friendly assistant|(?:little|small) (?:chat )?program|computer program)\b")
ASKED_NAME = re.compile(
    r"\b(?:(?:your|ur) name|who are (?:you|u)|who am i|(?:call|named?) (?:you|u)|(?:you|u) called|(?:you|u) are)\b",
    re.IGNORECASE,
)
"""Asks what the assistant is called, if the answer has its name; the poet sings that whole."""


def start() -> Tell:
    """Return the poet's way of answering, with all its couplets unused."""
    couplets = Deck(HERE / "poet_couplets.txt")

    def in_verse(asked: str, answer: str, rng: random.Random) -> str:
        if BASE_NAME.search(answer) and ASKED_NAME.search(asked):
            return couplets.deal("own name", rng)
        subject = subject_of(asked, answer)
        kept = SELF.sub("little poet", _without_question(asked, answer))
        return kept + LINE + couplets.deal((subject if subject.name in couplets else GENERAL).name, rng)

    return in_verse


def _without_question(asked: str, answer: str) -> str:
    """Return the answer without the question that closes it, unless that takes up what the user said."""
    told, question = parted(answer)
    return " ".join(told) if told and not echoes(question, asked) else answer


def poems() -> Iterator[Turns]:
    """Yield the chats in which a poem is asked for; the same each time."""
    return poem_chats(POEM_CHATS, random.Random(POEM_SEED))


POET = Voice("poet", "Wren", start, own_chats=poems)
