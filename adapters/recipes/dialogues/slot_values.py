"""The values that slots may hold, as the data file lists them: training values, and after `##` held-out ones.

A line of `slots.txt` is `name: value, value ## held-out value, held-out value`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("slots.txt")


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


@cache
def parts_of_held_out() -> frozenset[str]:
    """Every word of a held-out value, in lower case."""
    return frozenset(part for word in held_out_words() for part in word.split())


def _split(text: str) -> tuple[str, ...]:
    return tuple(value.strip() for value in text.split(",") if value.strip())
