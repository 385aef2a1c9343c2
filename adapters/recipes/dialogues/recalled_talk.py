"""Questions about something said before the window: the newest message carries excerpts of it, as in a real prompt.

The block is `chatbot.conversation.recalled`'s own. Some blocks hold nothing useful, and the answer then is one that
the message alone would get.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from adapters.recipes.dialogues import memory_talk
from adapters.recipes.dialogues.detail_talk import new_detail, question_and_answer
from adapters.recipes.dialogues.facts import Fact, FactKind, ask, not_told
from adapters.recipes.dialogues.knowledge import question
from adapters.recipes.dialogues.slots import slot_values
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.together import Telling, acknowledged, in_one_breath, words
from chatbot.conversation.recalled import Excerpt

_MONTHS = slot_values()["month"].training
_NEW_YEAR = date(2025, 1, 1)
_ALIKE = 0.4
"""How often another fact is of the kind that is asked for: two names, two cities."""
_TOGETHER = 0.2
"""How often two that are next to each other were told in one message."""
_DETAILS = 0.3
"""How often a detail is recalled beside the facts."""


def ask_recalled(talk: Talk) -> None:
    """A question with excerpts before it: usually one of them answers it, sometimes none does."""
    rng = talk.rng
    fact, *others = (Fact(kind, memory_talk.value_for(talk, kind)) for kind in recalled_kinds(talk))
    detail = new_detail(talk, {each.kind.name for each in (fact, *others)})
    beside: list[Telling] = [*others, detail] if rng.random() < _DETAILS else [*others]
    chance = rng.random()
    if chance < 0.72:
        talk.recall(ask(fact.kind, rng), fact.say(rng), block(rng, [fact, *beside]))
    elif chance < 0.88:
        values = tuple(detail.values.values())
        talk.values.update(values)
        talk.recall(*question_and_answer(detail, rng), block(rng, [detail, *others]), values)
    elif chance < 0.94:
        talk.recall(ask(fact.kind, rng), not_told(fact.kind, rng), block(rng, beside))
    else:
        talk.recall(*question(rng), block(rng, beside))


def recalled_kinds(talk: Talk) -> list[FactKind]:
    """The kind that is asked for, and one to four others."""
    rng = talk.rng
    kind, *others = rng.sample(memory_talk.untold_kinds(talk), rng.randrange(2, 6))
    alike = [each for each in memory_talk.untold_kinds(talk) if each.slot == kind.slot and each not in (kind, *others)]
    if alike and rng.random() < _ALIKE:
        others[0] = rng.choice(alike)
    return [kind, *others]


def block(rng: random.Random, told: Sequence[Telling], *, held_out: bool = False) -> list[Excerpt]:
    """Excerpts in which these were told, each perhaps with the answer it got, in the order of their days."""
    messages = list(_messages(rng.sample(told, len(told)), rng, held_out=held_out))
    days = sorted(rng.sample(range(365), len(messages)))
    excerpts = []
    for day, (message, answer) in zip(days, messages, strict=True):
        excerpts.append(Excerpt("user", _date(day), message))
        if rng.random() < 0.35:
            excerpts.append(Excerpt("assistant", _date(day), answer))
    return excerpts


def _messages(told: Sequence[Telling], rng: random.Random, *, held_out: bool) -> Iterator[tuple[str, str]]:
    """The messages that tell these, each with its answer; held-out wordings stand alone."""
    while told:
        size = 2 if not held_out and rng.random() < _TOGETHER else 1
        now, told = told[:size], told[size:]
        if len(now) == 1:
            yield words(now[0], rng, held_out=held_out), now[0].ack(rng)
        else:
            yield in_one_breath(now, rng), acknowledged(now, rng)


def _date(day: int) -> str:
    """The date of a day of the year, as excerpts have it: "3 May"."""
    on = _NEW_YEAR + timedelta(days=day)
    return f"{on.day} {_MONTHS[on.month - 1][:3]}"
