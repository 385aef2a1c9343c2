"""Kinds of facts a user may tell: how they are told, acknowledged, asked for, answered, corrected and summed up.

The wordings live in `facts.txt`; `held_tell` and `held_ask` lines are for evaluation and never used in training.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adapters.recipes.dialogues.frames import asking, telling
from adapters.recipes.dialogues.grammar import expand, sentence_case

_FILE = Path(__file__).with_name("facts.txt")
_KEYS = ("slot", "tell", "held_tell", "ack", "ask", "noun", "clause", "held_ask", "say", "know", "unknown", "third")

_FRAMED_ASKS, _FRAMED_TELLS = 0.5, 0.25
"""Shares of the questions and of the tellings that are put together of a frame and a name of the fact."""
_FIRST_PERSON = (("you are", "I am"), ("you were", "I was"), ("your", "my"), ("you", "I"))


@dataclass(frozen=True, slots=True)
class FactKind:
    """One kind of fact, such as the name of the user's sister, with all its wordings."""

    name: str
    slot: str
    tell: tuple[str, ...]
    held_tell: tuple[str, ...]
    ack: tuple[str, ...]
    ask: tuple[str, ...]
    noun: tuple[str, ...]
    clause: tuple[str, ...]
    held_ask: tuple[str, ...]
    say: tuple[str, ...]
    know: tuple[str, ...]
    unknown: tuple[str, ...]
    third: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A kind with the value that this user told."""

    kind: FactKind
    value: str

    def tell(self, rng: random.Random, fill_day: str, *, held_out: bool = False) -> str:
        """The user's sentence that tells it."""
        if not held_out and rng.random() < _FRAMED_TELLS:
            return telling(self.kind.noun, self.kind.clause, self.value, rng)
        return self._word(self.kind.held_tell if held_out else self.kind.tell, rng, fill_day)

    def ack(self, rng: random.Random) -> str:
        """The assistant's answer to being told."""
        return sentence_case(self._word(self.kind.ack, rng))

    def say(self, rng: random.Random) -> str:
        """The assistant's answer when asked for it; a value in small letters does not begin a sentence of it.

        A capital letter has it spelt in other tokens than were told, which a small model gets wrong: "teal" as "Tral".
        """
        fitting = [each for each in self.kind.say if self.value in sentence_case(each.replace("{v}", self.value))]
        return sentence_case(self._word(tuple(fitting) or self.kind.say, rng))

    def known(self) -> str:
        """Second person, for lists: "your sister is called Ana"."""
        return self._word(self.kind.know, random.Random(0))

    def first_person(self) -> str:
        """First person, as the user would say it: "my sister is called Ana"."""
        return to_first_person(self.known())

    def third_person(self, rng: random.Random) -> str:
        """As a system message states it: "The user's sister is called Ana."."""
        return self._word(self.kind.third, rng)

    def _word(self, wordings: tuple[str, ...], rng: random.Random, day: str = "Monday") -> str:
        return expand(rng.choice(wordings), rng, lambda slot: day if slot == "day" else self.value)


def ask(kind: FactKind, rng: random.Random, *, held_out: bool = False) -> str:
    """The user's question for a fact of this kind, told or not."""
    if not held_out and rng.random() < _FRAMED_ASKS:
        return asking(kind.noun, kind.clause, rng)
    return expand(rng.choice(kind.held_ask if held_out else kind.ask), rng, str)


def not_told(kind: FactKind, rng: random.Random) -> str:
    """The assistant's honest answer when this was never told."""
    return expand(rng.choice(kind.unknown), rng, str)


def to_first_person(known: str) -> str:
    """Turn "your dog is called Rex" into "my dog is called Rex", "you are" into "I am" and "you were" into "I was"."""
    for second, first in _FIRST_PERSON:
        known = re.sub(rf"\b{second}\b", first, known)
    return known


@cache
def fact_kinds() -> dict[str, FactKind]:
    """Every kind of the data file by name, in file order."""
    sections: dict[str, dict[str, tuple[str, ...]]] = {}
    name = ""
    for line in _FILE.read_text("utf-8").splitlines():
        if line.startswith("= "):
            name = line[2:].strip()
            sections[name] = {}
        elif line and not line.startswith("#"):
            key, _, body = line.partition(": ")
            sections[name][key] = tuple(part.strip() for part in body.split(" ; "))
    return {name: _kind(name, lines) for name, lines in sections.items()}


def _kind(name: str, lines: dict[str, tuple[str, ...]]) -> FactKind:
    missing = [key for key in _KEYS if key not in lines]
    if missing:
        raise ValueError(f"facts.txt: fact {name!r} lacks {', '.join(missing)}")
    return FactKind(name, lines["slot"][0], **{key: lines[key] for key in _KEYS if key != "slot"})
