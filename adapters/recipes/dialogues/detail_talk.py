"""Talk about details: told in passing, asked for later by a loose question, or asked for without having been told."""

from __future__ import annotations

import random
from collections.abc import Collection

from adapters.recipes.dialogues.clauses import answered, asked, not_told
from adapters.recipes.dialogues.details import Question, Told, details, facts_of, with_values
from adapters.recipes.dialogues.reflection import reflection
from adapters.recipes.dialogues.talk import Talk

_GIVEN_BACK = 0.4
"""How often a detail is answered with its own words, where these can be turned."""


def tell_detail(talk: Talk) -> None:
    """A detail that this talk does not have yet, with values that nothing else in it has."""
    told = note(talk, new_detail(talk))
    said = told.tell(talk.rng)
    given_back = reflection(said, talk.rng) if talk.rng.random() < _GIVEN_BACK else None
    talk.exchange(said, given_back or told.ack(talk.rng), tuple(told.values.values()))


def note(talk: Talk, told: Told) -> Told:
    """Take down that this talk has the detail, and the facts that it tells outright; it comes back."""
    values = told.values.values()
    talk.details.append(told)
    talk.values.update(values)
    talk.implied.update(told.detail.facts, values)
    for fact in facts_of(told):
        talk.facts.setdefault(fact.kind.name, fact)
    return told


def ask_detail(talk: Talk) -> None:
    """A question for a part of a detail that was told."""
    if talk.details:
        told = talk.rng.choice(talk.details)
        talk.exchange(*question_and_answer(told, talk.rng), tuple(told.values.values()))


def question_and_answer(told: Told, rng: random.Random) -> tuple[str, str]:
    """One of the questions for a part of this detail, and an answer to it."""
    question = rng.choice(told.detail.questions)
    return asked(question.ask, rng, told.fill), answered(question.say, rng, told.fill)


def ask_untold_detail(talk: Talk) -> None:
    """A question for a detail that was never told, perhaps about somebody who was spoken of, honestly answered."""
    untold = new_detail(talk)
    question = talk.rng.choice(untold.detail.questions)
    values = untold.values | _known(talk, question)
    user = asked(question.ask, talk.rng, values.__getitem__)
    talk.exchange(user, not_told(question.ask, talk.rng, values.__getitem__), tuple(values.values()))


def _known(talk: Talk, question: Question) -> dict[str, str]:
    """Values of a told detail, unless it might answer the question."""
    told = [each for each in talk.details if not each.values.keys() & question.asked()]
    return talk.rng.choice(told).values if told else {}


def new_detail(talk: Talk, beside: Collection[str] = ()) -> Told:
    """A detail not told yet, with values that nothing else has, that says none of the facts told or named `beside`."""
    told = {each.detail.name for each in talk.details}
    known = talk.facts.keys() | talk.implied | set(beside)
    free = [each for each in details() if each.name not in told and not each.facts & known]
    taken = talk.values | talk.facts.keys() | {talk.persona.me}
    return with_values(talk.rng.choice(free), talk.rng, taken)
