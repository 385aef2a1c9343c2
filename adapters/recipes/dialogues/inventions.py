"""Values that nobody has ("Torvella", "paper kettle", 417), so that a model learns to copy what it was told.

Invariant: nothing invented is a held-out value.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from adapters.recipes.dialogues.slot_values import held_out_words, slot_values

_FIRST_WORDS = ("color", "thing", "animal", "weather", "season", "food")
_SECOND_WORDS = ("thing", "animal", "flower", "vegetable", "fruit", "thing")
_PLACES = ("under", "behind", "in", "next to", "inside", "on top of", "below")


def name(rng: random.Random) -> str:
    """A name of a few syllables, such as "Torvella"."""
    opening, vowel, end = (slot_values()[f"syllable_{part}"].training for part in ("opening", "vowel", "end"))
    while True:
        parts = [rng.choice(opening) + rng.choice(vowel) for _ in range(rng.choice((1, 2, 2, 2, 3)))]
        made = "".join(parts) + (rng.choice(end) if rng.random() < 0.5 else "")
        if made not in held_out_words() and len(made) > 2:
            return made.capitalize()


def noun(rng: random.Random) -> str:
    """A word without a meaning, or two that do not belong together: "torvella", "paper kettle"."""
    if rng.random() < 0.5:
        return name(rng).lower()
    first, second = (slot_values()[rng.choice(slots)].training for slots in (_FIRST_WORDS, _SECOND_WORDS))
    made = f"{rng.choice(first)} {rng.choice(second)}"
    return made if made not in held_out_words() else noun(rng)


def number(rng: random.Random) -> str:
    """A number of two or three digits."""
    made = str(rng.randrange(10, 100) if rng.random() < 0.6 else rng.randrange(100, 1000))
    return made if made not in held_out_words() else number(rng)


def age(rng: random.Random) -> str:
    """A number of years that a person may have lived."""
    made = str(rng.randrange(7, 99))
    return made if made not in held_out_words() else age(rng)


def clock(rng: random.Random) -> str:
    """A time of the morning, such as "7:52"."""
    made = f"{rng.randrange(4, 11)}:{rng.randrange(60):02}"
    return made if made not in held_out_words() else clock(rng)


def place(rng: random.Random) -> str:
    """Where a key may lie: "behind the paper kettle"."""
    return f"{rng.choice(_PLACES)} the {noun(rng)}"


def group(rng: random.Random) -> str:
    """A band or a team: "The Torvella Kettles"."""
    return f"The {name(rng)} {rng.choice(slot_values()['animals'].training).title()}"


INVENTORS: dict[str, Callable[[random.Random], str]] = {
    **dict.fromkeys(("name", "surname", "petname", "city", "bot", "country", "language", "book"), name),
    **dict.fromkeys(
        [
            "job",
            "color",
            "food",
            "drink",
            "animals",
            "hobby",
            "sport",
            "instrument",
            "event",
            "codeword",
            "icecream",
            "fruits",
            "blossoms",
        ],
        noun,
    ),
    **dict.fromkeys(("number", "bignumber"), number),
    "age": age,
    "clock": clock,
    "keyplace": place,
    "band": group,
    "team": group,
}
"""Who invents for a slot; other slots only hold what is listed."""
