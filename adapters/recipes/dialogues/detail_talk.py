"""Talk about details: told in passing, asked for later by a loose question, or asked for without having been told."""

from __future__ import annotations

from adapters.recipes.dialogues.clauses import answered, asked, not_told
from adapters.recipes.dialogues.details import Question, Told, details, with_values
from adapters.recipes.dialogues.talk import Talk


def tell_detail(talk: Talk) -> None:
    """A detail that this talk does not have yet, with values that nothing else in it has."""
    told = _new(talk)
    values = tuple(told.values.values())
    talk.details.append(told)
    talk.values.update(values)
    talk.implied.update(told.detail.facts, values)
    talk.exchange(told.tell(talk.rng), told.ack(talk.rng), values)


def ask_detail(talk: Talk) -> None:
    """A question for a part of a detail that was told."""
    if talk.details:
        told = talk.rng.choice(talk.details)
        question = talk.rng.choice(told.detail.questions)
        user = asked(question.ask, talk.rng, told.fill)
        talk.exchange(user, answered(question.say, talk.rng, told.fill), tuple(told.values.values()))


def ask_untold_detail(talk: Talk) -> None:
    """A question for a detail that was never told, perhaps about somebody who was spoken of, honestly answered."""
    untold = _new(talk)
    question = talk.rng.choice(untold.detail.questions)
    values = untold.values | _known(talk, question)
    user = asked(question.ask, talk.rng, values.__getitem__)
    talk.exchange(user, not_told(question.ask, talk.rng, values.__getitem__), tuple(values.values()))


def _known(talk: Talk, question: Question) -> dict[str, str]:
    """Values of a told detail, unless it might answer the question."""
    told = [each for each in talk.details if not each.values.keys() & question.asked()]
    return talk.rng.choice(told).values if told else {}


def _new(talk: Talk) -> Told:
    told = {each.detail.name for each in talk.details}
    known = talk.facts.keys() | talk.implied
    free = [each for each in details() if each.name not in told and not each.facts & known]
    taken = talk.values | talk.facts.keys() | {talk.persona.me}
    return with_values(talk.rng.choice(free), talk.rng, taken)
