"""Questions for evaluation: a held-out fact told, other talk, then asked for; persona names; facts never told.

Values are held out of all training; wordings are held out where asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from adapters.recipes.dialogues.clauses import asked
from adapters.recipes.dialogues.details import Detail, Question, details, with_values
from adapters.recipes.dialogues.facts import Fact, ask, fact_kinds
from adapters.recipes.dialogues.grammar import sentence_case
from adapters.recipes.dialogues.instructions import Check, instruction
from adapters.recipes.dialogues.personas import DEFAULT_SYSTEM, Persona
from adapters.recipes.dialogues.recalled_talk import block
from adapters.recipes.dialogues.slots import draw, slot_values
from adapters.recipes.dialogues.small_talk import filler
from adapters.recipes.dialogues.talk import Message, Talk
from adapters.recipes.dialogues.together import acknowledged, in_one_breath
from adapters.recipes.dialogues.typing_habits import TypingHabit
from chatbot.conversation.recalled import with_excerpts

NOT_TOLD = ("haven't told", "don't know", "didn't tell", "didn't say")


@dataclass(frozen=True, slots=True)
class Probe:
    """Messages that end with the user's question, and the texts of which a right reply has one."""

    messages: tuple[Message, ...]
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstructionProbe:
    """Messages that end with an instruction, the check that its reply must pass, and what kind it is."""

    messages: tuple[Message, ...]
    check: Check
    name: str


def recall_probe(rng: random.Random, distance: int, *, held_wording: bool) -> Probe:
    """A held-out value told and asked for `distance` user turns later."""
    talk = Talk(rng, Persona("Ada", None, DEFAULT_SYSTEM, False), _neat(rng))
    kind = rng.choice([kind for kind in fact_kinds().values() if slot_values()[kind.slot].held_out])
    fact = Fact(kind, draw(kind.slot, rng, held_out=True))
    talk.facts[kind.name] = fact
    told = sentence_case(fact.tell(rng, "Friday", held_out=held_wording))
    talk.exchange(told, fact.ack(rng), (fact.value,))
    return Probe(_later(talk, distance, partial(ask, kind, rng, held_out=held_wording)), (fact.value,))


def together_probe(rng: random.Random, distance: int) -> Probe:
    """Two held-out values told in one message, and one of them asked for `distance` user turns later."""
    talk = Talk(rng, Persona("Ada", None, DEFAULT_SYSTEM, False), _neat(rng))
    kinds = rng.sample([kind for kind in fact_kinds().values() if slot_values()[kind.slot].held_out], 2)
    told = [Fact(kind, draw(kind.slot, rng, held_out=True)) for kind in kinds]
    if told[0].value == told[1].value:
        return together_probe(rng, distance)
    talk.facts.update((fact.kind.name, fact) for fact in told)
    talk.exchange(in_one_breath(told, rng), acknowledged(told, rng), tuple(fact.value for fact in told))
    fact = rng.choice(told)
    return Probe(_later(talk, distance, partial(ask, fact.kind, rng)), (fact.value,))


def detail_probe(rng: random.Random, distance: int, *, held_wording: bool) -> Probe:
    """A detail with held-out values told in passing, and one of them asked for `distance` user turns later."""
    talk = Talk(rng, Persona("Ada", None, DEFAULT_SYSTEM, False), _neat(rng))
    detail, question = rng.choice(_held_out_questions(is_wording=held_wording))
    told = with_values(detail, rng, (), held_out=True)
    values = tuple(told.values.values())
    talk.values.update(values)
    talk.exchange(told.tell(rng), told.ack(rng), values)
    later = partial(asked, question.held_ask if held_wording else question.ask, rng, told.fill)
    return Probe(_later(talk, distance, later), tuple(told.values[slot] for slot in _held_out_slots(question)))


@cache
def _held_out_questions(*, is_wording: bool) -> list[tuple[Detail, Question]]:
    """The questions whose answer has a held-out value, only those with a held-out wording where asked for."""
    pairs = [(detail, question) for detail in details() for question in detail.questions]
    return [pair for pair in pairs if _held_out_slots(pair[1]) and (pair[1].held_ask or not is_wording)]


def _held_out_slots(question: Question) -> list[str]:
    return [slot for slot in question.asked() if slot_values()[slot.split(".")[0]].held_out]


def recalled_probe(rng: random.Random, *, held_wording: bool) -> Probe:
    """A held-out value that only an excerpt before the question holds, among excerpts of other facts."""
    told = [kind for kind in fact_kinds().values() if slot_values()[kind.slot].held_out]
    kind, *others = rng.sample(told, rng.randrange(2, 5))
    fact, *rest = (Fact(each, draw(each.slot, rng, held_out=True)) for each in (kind, *others))
    rest = [other for other in rest if other.value != fact.value]
    question = with_excerpts(ask(kind, rng, held_out=held_wording), block(rng, [fact, *rest], held_out=held_wording))
    return Probe((_system(DEFAULT_SYSTEM), {"role": "user", "content": question}), (fact.value,))


def instruction_probe(rng: random.Random) -> InstructionProbe:
    """A small instruction with held-out words, and the check of its answer."""
    task = instruction(rng, held_out=True)
    return InstructionProbe((_system(DEFAULT_SYSTEM), {"role": "user", "content": task.user}), task.check, task.name)


def untold_probe(rng: random.Random) -> Probe:
    """A question for something that was never told, after a little other talk."""
    talk = Talk(rng, Persona("Ada", None, DEFAULT_SYSTEM, False), _neat(rng))
    filler(talk)
    kind = rng.choice(list(fact_kinds().values()))
    return Probe((_system(DEFAULT_SYSTEM), *talk.turns, {"role": "user", "content": ask(kind, rng)}), NOT_TOLD)


def persona_probe(rng: random.Random) -> Probe:
    """A system message with a held-out name, and the question for it."""
    persona = Persona.draw(rng, held_out=True)
    question = rng.choice(("What is your name?", "who are you?", "whats your name", "Who am I talking to?"))
    return Probe((_system(persona.system or ""), {"role": "user", "content": question}), (persona.me,))


def _later(talk: Talk, distance: int, question: Callable[[], str]) -> tuple[Message, ...]:
    """Other talk until there are so many turns, and then the question."""
    while len(talk.turns) < 2 * distance:
        filler(talk)
    return (_system(DEFAULT_SYSTEM), *talk.turns[: 2 * distance], {"role": "user", "content": question()})


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _neat(rng: random.Random) -> TypingHabit:
    habit = TypingHabit.draw(rng)
    return TypingHabit(False, False, habit.drops_final_stop, False, habit.contracts, 0.0, False)
