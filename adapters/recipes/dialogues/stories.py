"""Very short stories, put together from a hero, a place, a wish, a trouble and an ending. Own writing."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from adapters.recipes.dialogues.grammar import expand, sentence_case
from adapters.recipes.dialogues.slots import draw

_FILE = Path(__file__).with_name("stories.txt")
_ASK_PLAIN = (
    "Tell me a story.",
    "[Can|Could] you tell me a story?",
    "Do you know a [story|good story|short story]?",
    "I want to hear a [story|bedtime story].",
    "Tell me a [short|little|bedtime|nice] story[, please|].",
    "A story, please.",
    "Another story, please.",
    "Make up a story.",
)
_ASK_ABOUT = (
    "Tell me a story about a {animal}.",
    "[Can|Could] you tell me a story about a {animal}?",
    "I want a story about a {animal}.",
    "Do you know a story about a {animal}?",
    "Write a [short|] story about a {animal}.",
)
_ENDING = ("", "", " The end.", " And they were happy.", " That was a good day.")
_AFTER = (
    ("Another one!", None),
    ("[One more|Another story], please.", None),
    (
        "[Nice|What a nice|That was a nice|I liked that|Good|Lovely] story.",
        "Thank you! [Would you like another one?|I'm glad you liked it.]",
    ),
    ("What was the [{animal}|animal] called?", "The {animal} was called {hero}."),
    ("What was the name of the {animal}?", "The {animal} was called {hero}."),
)
_WHO_HELPED = ("Who helped {hero}?", "[A|It was a] {friend}.")


def story(rng: random.Random) -> list[tuple[str, str]]:
    """One to two exchanges: a story asked for and told, and often a word about it."""
    hero, animal = draw("name", rng), draw("animal", rng)
    friend = draw("animal", rng)
    while friend == animal:
        friend = draw("animal", rng)
    values = {"hero": hero, "animal": animal, "friend": friend}
    asked = rng.choice(_ASK_ABOUT if rng.random() < 0.5 else _ASK_PLAIN)
    plot = rng.choice((*_lines("p"), *_lines("h")))
    text = f"{rng.choice(_lines('o'))} {plot}{rng.choice(_ENDING)}"
    exchanges = [(expand(asked, rng, values.__getitem__), sentence_case(expand(text, rng, values.__getitem__)))]
    if rng.random() < 0.5:
        user, answer = rng.choice((*_AFTER, _WHO_HELPED) if plot in _lines("h") else _AFTER)
        if answer is None:
            exchanges.append((expand(user, rng, values.__getitem__), story(rng)[0][1]))
        else:
            exchanges.append(
                (expand(user, rng, values.__getitem__), sentence_case(expand(answer, rng, values.__getitem__)))
            )
    return exchanges


@cache
def _lines(kind: str) -> tuple[str, ...]:
    lines = _FILE.read_text("utf-8").splitlines()
    return tuple(line[2:] for line in lines if line.startswith(f"{kind} "))
