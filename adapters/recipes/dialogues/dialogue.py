"""Whole dialogues: a persona, facts told and asked for again, and other talk between.

Invariant: the same seed and number give the same dialogue, and no held-out value or wording is in a training one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from adapters.recipes.dialogues import memory_talk
from adapters.recipes.dialogues.detail_talk import ask_detail, ask_untold_detail, tell_detail
from adapters.recipes.dialogues.instructions import Check
from adapters.recipes.dialogues.personas import Persona
from adapters.recipes.dialogues.recalled_talk import ask_recalled
from adapters.recipes.dialogues.reflection import reflection
from adapters.recipes.dialogues.small_talk import FIRST, LAST, filler, some, walk
from adapters.recipes.dialogues.talk import Message, Talk
from adapters.recipes.dialogues.typing_habits import TypingHabit

_Event = Callable[[Talk], None]
"""One thing that happens in a talk: something told, asked, or chatted about."""
_ALWAYS = (memory_talk.ask_known, ask_detail)
"""What happens in a talk that is long enough, too."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A finished dialogue: messages as the chat template takes them."""

    messages: tuple[Message, ...]
    values: frozenset[str] = frozenset()
    """What the facts in it say: the words that an answer can only copy."""
    checks: Mapping[int, Check] = field(default_factory=dict, compare=False)
    """By the number of its turn, the system message left out, what an answer to an instruction must pass."""


def dialogues(seed: int, count: int, *, start: int = 0) -> Iterator[Dialogue]:
    """`count` training dialogues, the same for the same seed."""
    for number in range(start, start + count):
        rng = random.Random(f"{seed}:{number}")
        yield make(rng, rng.choices((60, 120, 220, 330, 620), (28, 30, 24, 14, 4))[0])


def make(rng: random.Random, limit: int) -> Dialogue:
    """One training dialogue of about `limit` words at most; the last exchange may go beyond."""
    talk, system = _begin(rng)
    opening = rng.random()
    if opening < 0.45:
        walk(talk, some(talk, FIRST))
    elif opening < 0.57:
        memory_talk.tell_together(talk)
    if talk.persona.me != "Ada" and rng.random() < 0.6:
        walk(talk, some(talk, ("identity",)))
    _follow(talk, _plan(rng, limit), limit)
    if rng.random() < 0.5:
        ask_recalled(talk)
    elif not talk.turns or rng.random() < 0.15:
        walk(talk, some(talk, LAST))
    return Dialogue((*system, *talk.turns), frozenset(talk.values), talk.checks)


def remembering(rng: random.Random, limit: int) -> Dialogue:
    """A dialogue that is nothing but remembering: facts told and asked for, and most often memory's excerpts."""
    talk, system = _begin(rng)
    opening = rng.random()
    if opening < 0.25:
        memory_talk.tell_together(talk)
    if opening < 0.5:
        _follow(talk, _recital(rng, limit), limit)
    if not talk.turns or rng.random() < 0.8:
        ask_recalled(talk)
    return Dialogue((*system, *talk.turns), frozenset(talk.values), talk.checks)


def listening(rng: random.Random, limit: int, sentence: Callable[[random.Random], str]) -> Dialogue:
    """A dialogue in which the user says whatever comes to mind, and gets it back in the second person."""
    talk, system = _begin(rng)
    if rng.random() < 0.2:
        walk(talk, some(talk, FIRST))
    while not talk.turns or (talk.words <= limit and rng.random() < 0.8):
        said = sentence(rng)
        if rng.random() < 0.25:
            filler(talk)
        elif answer := reflection(said, rng):
            talk.exchange(said, answer)
    return Dialogue((*system, *talk.turns), frozenset(talk.values), talk.checks)


def _begin(rng: random.Random) -> tuple[Talk, tuple[Message, ...]]:
    talk = Talk(rng, Persona.draw(rng), TypingHabit.draw(rng))
    return talk, _system(talk)


def _follow(talk: Talk, plan: list[_Event], limit: int) -> None:
    """Let happen what is planned, as far as the words allow."""
    for event in plan:
        if talk.words <= limit or event in _ALWAYS:
            event(talk)


def _plan(rng: random.Random, limit: int) -> list[_Event]:
    """The order of events: fillers, and for each fact a telling before one or two questions."""
    if rng.random() < 0.28:
        return _recital(rng, limit)
    fillers = rng.randrange(0, 3) if limit < 100 else rng.randrange(1, 3 + limit // 25)
    facts = rng.choices((0, 1, 2, 3, 4, 6), (24, 25, 21, 15, 10, 5))[0]
    if limit < 100:
        facts = min(facts, 2)
    events: list[tuple[float, _Event]] = [(rng.random(), filler) for _ in range(fillers)]
    for _ in range(facts):
        told = rng.random() * 0.7
        events.append((told, memory_talk.tell))
        if rng.random() < 0.12:
            events.append((told + 0.001, memory_talk.correct))
        if rng.random() < 0.75:
            events.append((told + rng.random() * (1.2 - told), memory_talk.ask_known))
        if rng.random() < 0.4:
            events.append((1.3, memory_talk.ask_known))
    extras = (
        (0.28, memory_talk.ask_untold),
        (0.1, memory_talk.summary),
        (0.05, memory_talk.check),
        (0.04, memory_talk.what_said),
        (0.05, ask_untold_detail),
    )
    events += [(0.2 + rng.random(), event) for chance, event in extras if rng.random() < chance]
    if rng.random() < 0.07:
        events.append((-1.0, memory_talk.summary))  # before anything is told
    events += _of_details(rng)
    return [event for _, event in sorted(events, key=lambda pair: pair[0])]


def _of_details(rng: random.Random) -> list[tuple[float, _Event]]:
    """In a third of the talks one or two details, each asked for once or twice, and sometimes what they leave open."""
    events: list[tuple[float, _Event]] = []
    for _ in range(rng.choices((0, 1, 2), (68, 22, 10))[0]):
        told = rng.random() * 0.8
        events.append((told, tell_detail))
        for _ in range(rng.choice((1, 1, 1, 2))):
            events.append((told + rng.random() * (1.25 - told), ask_detail))
        if rng.random() < 0.15:
            events.append((told + rng.random() * (1.25 - told), ask_untold_detail))
    return events


def _recital(rng: random.Random, limit: int) -> list[_Event]:
    """Many facts told one after the other and then asked for: nothing but remembering."""
    count = rng.randrange(2, 5) if limit < 100 else rng.randrange(3, 10)
    events: list[_Event] = [memory_talk.tell] * count
    return events + [memory_talk.ask_known] * count


def _system(talk: Talk) -> tuple[Message, ...]:
    text = talk.persona.system
    if text is None:
        return ()
    if talk.rng.random() < 0.06:
        told = [memory_talk.new_fact(talk) for _ in range(talk.rng.randrange(1, 4))]
        stated = " ".join(fact.third_person(talk.rng) for fact in told)
        text = f"{text} {stated}"
    return ({"role": "system", "content": text},)
