"""Questions about something said before the window: the newest message carries excerpts of it, as in a real prompt.

The block is `chatbot.conversation.recalled`'s own. Some blocks hold nothing useful, and the answer then is the one
that the message alone would get.
"""

from __future__ import annotations

import random

from adapters.recipes.dialogues import memory_talk
from adapters.recipes.dialogues.facts import Fact, FactKind, ask, not_told
from adapters.recipes.dialogues.grammar import sentence_case
from adapters.recipes.dialogues.knowledge import question
from adapters.recipes.dialogues.slots import draw, slot_values
from adapters.recipes.dialogues.talk import Talk
from chatbot.conversation.recalled import Excerpt

_MONTHS = slot_values()["month"].training


def ask_recalled(talk: Talk) -> None:
    """A question with excerpts before it: usually one of them answers it, sometimes none does."""
    rng = talk.rng
    kind, *others = rng.sample(memory_talk.untold_kinds(talk), rng.randrange(2, 6))
    chance = rng.random()
    if chance < 0.7:
        fact = Fact(kind, memory_talk.value_for(talk, kind))
        excerpts = block(rng, [fact, *_facts(talk, others)])
        talk.recall(ask(kind, rng), fact.say(rng), excerpts)
    elif chance < 0.85:
        talk.recall(ask(kind, rng), not_told(kind, rng), block(rng, _facts(talk, others)))
    else:
        asked, answer = question(rng)
        talk.recall(asked, answer, block(rng, _facts(talk, others)))


def block(rng: random.Random, facts: list[Fact], *, held_out: bool = False) -> list[Excerpt]:
    """Excerpts in which these facts were told, each perhaps with the answer it got, in the order of their days."""
    days = sorted(rng.sample(range(360), len(facts)))
    excerpts = []
    for day, fact in zip(days, rng.sample(facts, len(facts)), strict=True):
        date = f"{day % 30 + 1} {_MONTHS[day // 30][:3]}"
        told = sentence_case(fact.tell(rng, draw("day", rng), held_out=held_out))
        excerpts.append(Excerpt("user", date, told))
        if rng.random() < 0.35:
            excerpts.append(Excerpt("assistant", date, fact.ack(rng)))
    return excerpts


def _facts(talk: Talk, kinds: list[FactKind]) -> list[Fact]:
    return [Fact(kind, memory_talk.value_for(talk, kind)) for kind in kinds]
