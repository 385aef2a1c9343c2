"""Recall chats: facts are told, other things are talked about, and the facts are asked for.

Values come from the dialogue recipes' training slots, so nothing that is held out for evaluation is learned here.
"""

import random
from collections.abc import Iterator

from adapters.recipes.dialogues.grammar import with_articles
from adapters.recipes.dialogues.slots import draw
from adapters.recipes.personas.turns import Turns

OTHER_WORDING = " ; "

Facts = dict[str, dict[str, list[str]]]


def read_facts(text: str) -> Facts:
    """Return for each slot its wordings by key: t(old), (ac)k, q(uestion), s(aid)."""
    facts: Facts = {}
    slot = ""
    for line in text.splitlines():
        key, _, rest = line.partition(" ")
        if key == "=":
            slot = rest
            facts[slot] = {}
        elif key in ("t", "k", "q", "s"):
            facts[slot][key] = rest.split(OTHER_WORDING)
    return facts


def recall_chats(count: int, filler: list[Turns], facts: Facts, rng: random.Random) -> Iterator[Turns]:
    """Yield chats in which one or two facts are told, other things are talked about, and a fact is asked for."""
    for number in range(count):
        names = rng.sample(list(facts), 1 + number % 2)
        chat: Turns = []
        values = {}
        for name in names:
            values[name] = draw(name, rng)
            chat += _said(facts[name], "t", "k", values[name], rng)
        for turns in rng.sample(filler, number // 2 % 4):
            chat += turns
        rng.shuffle(names)
        for name in names:
            chat += _said(facts[name], "q", "s", values[name], rng)
        yield chat


def _said(fact: dict[str, list[str]], asked: str, answered: str, value: str, rng: random.Random) -> Turns:
    texts = [rng.choice(fact[key]).replace("{v}", value) for key in (asked, answered)]
    return [with_articles(text[:1].upper() + text[1:]) for text in texts]
