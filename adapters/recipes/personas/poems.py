"""Chats in which a poem is asked for: about a thing that the poet has couplets for, or about any other."""

import random
from collections.abc import Iterator
from pathlib import Path

from adapters.recipes.dialogues.slots import draw
from adapters.recipes.personas.deck import Deck
from adapters.recipes.personas.turns import Turns

FILE = Path(__file__).with_name("poet_poems.txt")
ANYTHING = "anything"
OTHER_THINGS = ("city", "food", "hobby", "sport", "name")
"""Slots of the dialogue recipes whose values are asked for although there is no couplet about them."""
OTHERS_SHARE = 0.15
LINE = " / "
"""Parts the lines of a verse."""
ASKS = (
    "Write a poem about {}.",
    "Write me a poem about {}.",
    "Write a short poem about {}.",
    "Please write a poem about {}.",
    "Can you write a poem about {}?",
    "Could you make a little poem about {}?",
    "Can you make up a verse about {}?",
    "A poem about {}, please.",
    "Give me a poem about {}.",
    "I'd like a poem about {}.",
    "I want to hear a poem about {}.",
    "Do you know a poem about {}?",
    "Tell me a poem about {}.",
    "Say something in verse about {}.",
    "Make a rhyme about {}.",
    "Rhyme something about {} for me.",
    "Write something about {}!",
    "write a poem about {}",
    "poem about {}",
    "can you write about {}",
)


def poem_chats(count: int, rng: random.Random) -> Iterator[Turns]:
    """Yield chats that ask for a poem about a thing and get it; all things come equally often."""
    couplets = Deck(FILE)
    things: list[str] = []
    for _ in range(count):
        things = things or rng.sample(list(couplets.lines), len(couplets.lines))
        yield _asked(things.pop(), couplets, rng)


def _asked(thing: str, couplets: Deck, rng: random.Random) -> Turns:
    """Return what asks for a poem about a thing, and the poem: all its couplets, the same each time.

    A small model mixes what may follow one beginning, and a mixture does not rhyme.
    """
    if thing == ANYTHING or rng.random() < OTHERS_SHARE:
        return [rng.choice(ASKS).format(draw(rng.choice(OTHER_THINGS), rng)), couplets.deal(ANYTHING, rng)]
    return [rng.choice(ASKS).format(thing), LINE.join(couplets.lines[thing])]
