"""Talk without lasting facts: walks through the topics' trees, questions of knowledge, stories."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from adapters.recipes.dialogues.grammar import Fill, expand, sentence_case
from adapters.recipes.dialogues.instructions import instruction
from adapters.recipes.dialogues.knowledge import question
from adapters.recipes.dialogues.slots import draw
from adapters.recipes.dialogues.stories import story
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.topics import Exchange, Topic, all_topics

FIRST = ("hello", "how are you", "good morning")
"""How the names of topics begin with which a talk may open."""
LAST = ("bye", "good night", "thanks")
"""The same for topics that end a talk, and only there."""
_LISTENING = "echo"
"""How the names of topics begin whose answers pick up the very words of the user."""
# How much more often these topics come up than the others of their kind; the assistant must know itself, and listen.
_LISTENING_OFTEN = 12
_OFTEN = {"identity": 5, "human": 3, "can do": 2, "maker": 2, "does not know": 2, "cannot do": 2, "danger": 2} | {
    "hello": 8,
    "how are you": 4,
    "good morning": 3,
    "bye": 10,
    "thanks": 5,
}


def filler(talk: Talk) -> None:
    """Small talk, a question of knowledge, an instruction or a story: one to a few exchanges without a lasting fact.

    Who answers in one sentence tells no stories, jokes or riddles: they need more.
    """
    chance, is_brief = talk.rng.random(), talk.persona.is_brief
    if chance < 0.28:
        for _ in range(talk.rng.choice((1, 1, 2))):
            talk.exchange(*question(talk.rng, is_brief=is_brief))
    elif chance < 0.35:
        for _ in range(talk.rng.choice((1, 1, 2))):
            task = instruction(talk.rng)
            talk.values.update([task.copied] if task.copied else [])
            talk.exchange(task.user, task.answer, tuple(task.user.split()), is_styled=False)
            talk.checks[len(talk.turns) - 1] = task.check
    elif chance < 0.365 and not is_brief:
        for user, answer in story(talk.rng):
            talk.exchange(user, answer, is_styled=False)
    else:
        walk(talk, _anywhere().draw(talk.rng))


def some(talk: Talk, beginnings: tuple[str, ...]) -> Topic:
    """One of the topics whose names begin so."""
    return _beginning(beginnings).draw(talk.rng)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Topics to draw from, with their weights summed up once."""

    topics: list[Topic]
    sums: list[int]

    @classmethod
    def of(cls, topics: list[Topic]) -> _Choice:
        return cls(topics, list(accumulate(map(_weight, topics))))

    def draw(self, rng: random.Random) -> Topic:
        return rng.choices(self.topics, cum_weights=self.sums)[0]


def _weight(topic: Topic) -> int:
    return _LISTENING_OFTEN if topic.name.startswith(_LISTENING) else _OFTEN.get(topic.name, 1)


@cache
def _anywhere() -> _Choice:
    return _Choice.of([topic for topic in all_topics() if not topic.name.startswith(("_", *LAST))])


@cache
def _beginning(names: tuple[str, ...]) -> _Choice:
    return _Choice.of([topic for topic in all_topics() if topic.name.startswith(names)])


def walk(talk: Talk, topic: Topic) -> None:
    """Walk a topic's tree: one opening, then follow-ups as long as chance allows."""
    values: dict[str, str] = {"me": talk.persona.me}

    def fill(slot: str) -> str:
        if slot not in values:
            values[slot] = draw(slot.split(".")[0], talk.rng)
        return values[slot]

    options = topic.openings
    while options:
        exchange = talk.rng.choices(options, [len(each.users) ** 0.5 for each in options])[0]
        user = expand(talk.rng.choice(exchange.users), talk.rng, fill)
        talk.exchange(user, _answer(talk, exchange, fill), tuple(values.values()))
        options = exchange.follow_ups if talk.rng.random() < 0.85 else []


def _answer(talk: Talk, exchange: Exchange, fill: Fill) -> str:
    template = talk.rng.choice(exchange.answers)
    if template.startswith("@"):
        return talk.persona.answer(template[1:], talk.rng, talk.user_name())
    return sentence_case(expand(template, talk.rng, fill))
