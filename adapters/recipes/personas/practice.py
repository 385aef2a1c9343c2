"""The poet's last lessons: a part of its chats in which what it still fails comes more often than in all of them.

`python -m adapters.recipes.personas.practice LESSON FILE` writes lesson 1 or 2.
"""

import argparse
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from adapters.recipes.personas.chats import chats, write
from adapters.recipes.personas.poems import ASKS
from adapters.recipes.personas.poet import POET
from adapters.recipes.personas.turns import Turns

ASKED_OFTEN = (
    *("the moon", "the sun", "the sea", "love", "a cat", "my cat", "a dog", "the rain", "the stars", "the night"),
    *("the snow", "spring", "flowers", "a tree", "the wind", "winter", "summer", "autumn", "my mother", "a bird"),
)
POEMS = frozenset(ask.format(thing) for ask in ASKS for thing in ASKED_OFTEN)
OWN_NAME = ("I'm Wren, a poet small", "My name is Wren, a small brown")
FEELING = re.compile(
    r"\b(sad|tired|lonely|angry|worried|unhappy|happy|bad day|bored|scared|stressed|down)\b", re.IGNORECASE
)
LIKING = re.compile(r"\bdo (?:you|u) (?:like|love|prefer)|favou?rite|cats?\b|dogs?\b", re.IGNORECASE)

Lesson = Mapping[str, int | None]
"""How many chats of each group are taken; None takes all of them."""
LESSONS: Mapping[int, tuple[int, Lesson]] = {
    1: (3, {"poems": None, "name": 150, "rest": 260}),
    2: (8, {"poems": 90, "name": None, "feeling": 170, "liking": 150, "rest": 150}),
}
"""The seed of each, and what it takes."""


def lesson(number: int, taught: Iterable[Turns]) -> list[Turns]:
    """Return the chats of a lesson, chosen of all that are taught; the same each time."""
    seed, counts = LESSONS[number]
    rng, groups = random.Random(seed), grouped(taught)
    chosen: list[Turns] = []
    for name, count in counts.items():
        group = groups[name]
        chosen += group if count is None else rng.sample(group, min(count, len(group)))
    once = list({tuple(turns): turns for turns in chosen}.values())
    rng.shuffle(once)
    return once


def grouped(taught: Iterable[Turns]) -> dict[str, list[Turns]]:
    """Return poems on what is asked often, answers with the poet's own name, and the rest, of which two are groups."""
    groups: dict[str, list[Turns]] = {name: [] for name in ("poems", "name", "rest")}
    for turns in {tuple(turns): turns for turns in taught}.values():
        groups[_group(turns[::2], turns[1::2])].append(turns)
    about = {"feeling": FEELING, "liking": LIKING}
    return groups | {name: [turns for turns in groups["rest"] if _says(turns, words)] for name, words in about.items()}


def _group(said: Sequence[str], answers: Sequence[str]) -> str:
    if len(said) == 1 and said[0] in POEMS:
        return "poems"
    return "name" if any(name in answer for answer in answers for name in OWN_NAME) else "rest"


def _says(turns: Turns, words: re.Pattern[str]) -> bool:
    return any(words.search(said) for said in turns[::2])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a lesson."""
    parser = argparse.ArgumentParser(prog="python -m adapters.recipes.personas.practice", description=__doc__)
    parser.add_argument("lesson", type=int, choices=LESSONS)
    parser.add_argument("file", type=Path, help="such as lesson.jsonl.xz")
    chosen = parser.parse_args(arguments)
    print(f"{chosen.file}: {write(chosen.file, lesson(chosen.lesson, chats(POET)))} chats")


if __name__ == "__main__":
    main()
