"""Slot values: the names, places and things that fill the templates, with some held out of all training.

Lists live in `slots.txt`, one slot a line; what stands after `##` is held out and used by evaluation alone.
Invented names ("Torvella") keep the model copying what it was told, not remembering a list.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("slots.txt")
_INVENTABLE = {
    "name": 0.45,
    "surname": 0.45,
    "petname": 0.45,
    "city": 0.4,
    "bot": 0.4,
    **dict.fromkeys(("country", "language", "book"), 0.2),
}


# Kinds written small, such as a hobby; here the inventions only keep the model copying.
_INVENTABLE_NOUNS = dict.fromkeys(
    ("job", "color", "food", "drink", "animals", "hobby", "sport", "instrument", "event"), 0.15
)


@dataclass(frozen=True, slots=True)
class Values:
    """What one slot may hold in training and, apart from that, in evaluation."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


@cache
def slot_values() -> dict[str, Values]:
    """Every slot of the data file."""
    values = {}
    for line in _FILE.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, listed = line.partition(":")
        training, _, held_out = listed.partition("##")
        values[name.strip()] = Values(_split(training), _split(held_out))
    return values


@cache
def held_out_words() -> frozenset[str]:
    """Every held-out value, in lower case."""
    return frozenset(word.lower() for values in slot_values().values() for word in values.held_out)


def draw(slot: str, rng: random.Random, *, held_out: bool = False) -> str:
    """One value for a slot; only its held-out values where asked for and where there are any."""
    values = slot_values()[slot]
    if held_out and values.held_out:
        return rng.choice(values.held_out)
    if rng.random() < _INVENTABLE.get(slot, 0.0):
        return invent(rng)
    if rng.random() < _INVENTABLE_NOUNS.get(slot, 0.0):
        return invent(rng).lower()
    return rng.choice(values.training)


def invent(rng: random.Random) -> str:
    """A name that nobody has, such as "Torvella", and that is not held out."""
    opening, vowel, end = (slot_values()[f"syllable_{part}"].training for part in ("opening", "vowel", "end"))
    while True:
        parts = [rng.choice(opening) + rng.choice(vowel) for _ in range(rng.choice((1, 2, 2, 2, 3)))]
        name = "".join(parts) + (rng.choice(end) if rng.random() < 0.5 else "")
        if name not in held_out_words() and len(name) > 2:
            return name.capitalize()


def _split(text: str) -> tuple[str, ...]:
    return tuple(value.strip() for value in text.split(",") if value.strip())
