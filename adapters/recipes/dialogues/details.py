"""Details told in passing ("I learnt cooking from my aunt Rosa") and the looser questions that ask for them.

The wordings live in `details.txt`; every value in them is a slot's, so that an answer can only be copied.
`held_ask` lines are for evaluation and never used in training.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from adapters.recipes.dialogues.facts import Fact, fact_kinds
from adapters.recipes.dialogues.grammar import expand, sentence_case, slots_of
from adapters.recipes.dialogues.slots import draw, draw_to_remember

_FILE = Path(__file__).with_name("details.txt")
_REMEMBERED = 0.4
"""How many values are drawn as those of facts are: often invented."""
_TRIES = 20
_NAMED = (("relative", "name"), ("woman", "name"), ("man", "name"), ("pet", "petname"))
"""Slots of somebody, each with that of the name which a detail that has both gives to him; the first pair decides."""
_LEADS = (
    *[""] * 40,
    "You know what? ",
    "Listen! ",
    "News! ",
    "Something else: ",
    "One more thing. ",
    "Today's story: ",
)
_TAILS = (*[""] * 40, " Just so you know.", " How about that?", " That's how it is.", " Well.", " Imagine!", " Anyway.")
"""What may stand before and after a detail when it is told."""


class DetailError(ValueError):
    """The data file is not in the documented form; the message names the detail."""


@dataclass(slots=True)
class Question:
    """What is asked about a detail, in several wordings, and the answers."""

    ask: tuple[str, ...]
    held_ask: tuple[str, ...] = ()
    say: tuple[str, ...] = ()

    def asked(self) -> list[str]:
        """The slots that every answer has and no question gives away."""
        given = set[str]().union(*map(slots_of, (*self.ask, *self.held_ask)))
        return sorted(set.intersection(*map(slots_of, self.say)) - given)


@dataclass(slots=True)
class Detail:
    """A sentence told in passing, with its wordings, and the questions that it answers."""

    name: str
    facts: frozenset[str] = frozenset()
    """Kinds of facts that say much the same and so are not told beside it."""
    says: frozenset[str] = frozenset()
    """Those among them that it tells outright, and that may be asked for like any told fact."""
    tell: tuple[str, ...] = ()
    ack: tuple[str, ...] = ()
    questions: list[Question] = field(default_factory=list)
    slots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """A detail with the values that this user told."""

    detail: Detail
    values: dict[str, str]

    def tell(self, rng: random.Random) -> str:
        """The user's sentence that tells it."""
        told = sentence_case(expand(rng.choice(self.detail.tell), rng, self.fill))
        return f"{rng.choice(_LEADS)}{told}{rng.choice(_TAILS)}"

    def ack(self, rng: random.Random) -> str:
        """The assistant's answer to being told."""
        return sentence_case(expand(rng.choice(self.detail.ack), rng, self.fill))

    def fill(self, slot: str) -> str:
        """The value of a slot of its wordings."""
        return self.values[slot]


def with_values(detail: Detail, rng: random.Random, taken: Collection[str], *, held_out: bool = False) -> Told:
    """The detail with values that differ from each other and, where there are enough, from those taken."""
    values: dict[str, str] = {}
    for slot in detail.slots:
        kind = slot.split(".")[0]
        for _ in range(_TRIES):
            value = draw(kind, rng, held_out=held_out)
            if not held_out and rng.random() < _REMEMBERED:
                value = draw_to_remember(kind, rng)
            if value not in taken and value not in values.values():
                break
        values[slot] = value
    return Told(detail, values)


def facts_of(told: Told) -> list[Fact]:
    """The facts that a detail tells outright: what it `says`, and the name of a relative, or else of a pet."""
    kinds, values = fact_kinds(), told.values
    named = [(values[who], values[name]) for who, name in _NAMED if who in values and name in values][:1]
    said = [Fact(kinds[name], values[kinds[name].slot]) for name in sorted(told.detail.says)]
    return said + [Fact(kinds[who], name) for who, name in named if who in kinds]


@cache
def details() -> tuple[Detail, ...]:
    """Every detail of the data file, in file order."""
    return tuple(parse(_FILE.read_text("utf-8")))


def parse(text: str) -> list[Detail]:
    """Read details from text in the form that the head of the data file describes."""
    found: list[Detail] = []
    for line in text.splitlines():
        if line.startswith("= "):
            found.append(Detail(line[2:].strip()))
        elif line.strip() and not line.startswith("#"):
            key, _, body = line.partition(": ")
            if not found or not _is_read(found[-1], key, tuple(part.strip() for part in body.split(" ; "))):
                raise DetailError(f"{found[-1].name if found else 'the first line'}: cannot read {line!r}")
    for detail in found:
        if not (detail.tell and detail.ack and detail.questions and all(each.say for each in detail.questions)):
            raise DetailError(f"{detail.name}: lacks tell, ack, ask or say")
        detail.slots = tuple(sorted(slots_of(detail.tell[0])))
    return found


def _is_read(detail: Detail, key: str, wordings: tuple[str, ...]) -> bool:
    match key:
        case "fact":
            detail.facts |= {*wordings}
        case "says":
            detail.facts |= {*wordings}
            detail.says = frozenset(wordings)
        case "tell":
            detail.tell += wordings
        case "ack":
            detail.ack += wordings
        case "ask":
            detail.questions.append(Question(wordings))
        case "held_ask" if detail.questions:
            detail.questions[-1].held_ask = wordings
        case "say" if detail.questions:
            detail.questions[-1].say += wordings
        case _:
            return False
    return True
