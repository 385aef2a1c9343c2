"""Held-out values and wordings are in no text that training is made of."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from adapters.recipes.dialogues import dialogues, knowledge, stories
from adapters.recipes.dialogues.details import details
from adapters.recipes.dialogues.dialogue import remembering
from adapters.recipes.dialogues.facts import fact_kinds
from adapters.recipes.dialogues.slots import held_out_words, slot_values
from adapters.recipes.dialogues.topics import all_topics, every_exchange
from adapters.recipes.personas.chats import PARTS
from adapters.recipes.personas.rhyme import FILE as RHYMES
from adapters.recipes.personas.sentences import words
from tests.adapters.recipes.templates import choices

VALUES = "|".join(sorted(map(re.escape, held_out_words()), key=len, reverse=True))
HELD_OUT = re.compile(rf"(?<![\w.:'-])(?:{VALUES})(?![\w-]|[.:]\d)", re.IGNORECASE)


def test_no_text_of_training_has_a_held_out_value() -> None:
    assert HELD_OUT.search("My sister Mira lives there.")
    texts = (*_of_topics(), *_of_facts(), *_of_details(), *_of_slots(), *_of_files())
    assert len(texts) > 50_000
    assert [text for text in texts if HELD_OUT.search(text)] == []


def test_no_generated_dialogue_has_a_held_out_value() -> None:
    drawn = [*dialogues(21, 400), *(remembering(random.Random(number), 120) for number in range(400))]
    texts = (message["content"] for dialogue in drawn for message in dialogue.messages)
    assert [text for text in texts if HELD_OUT.search(text)] == []


def test_nobody_says_a_held_out_wording_by_the_way() -> None:
    facts, questions = fact_kinds().values(), [question for detail in details() for question in detail.questions]
    held_out = [wording for kind in facts for wording in (*kind.held_tell, *kind.held_ask)]
    held_out += [wording for question in questions for wording in question.held_ask]
    trained = [text for kind in facts for text in (*kind.tell, *kind.ask)]
    trained += [text for detail in details() for text in detail.tell]
    trained += [text for question in questions for text in question.ask]
    trained += [user for topic in all_topics() for exchange in every_exchange(topic) for user in exchange.users]
    assert sorted(_shapes(held_out) & _shapes(trained)) == []


def _of_topics() -> Iterator[str]:
    for exchange in (exchange for topic in all_topics() for exchange in every_exchange(topic)):
        yield from (*exchange.users, *exchange.answers)


def _of_facts() -> Iterator[str]:
    for kind in fact_kinds().values():
        yield from (*kind.tell, *kind.ack, *kind.ask, *kind.noun, *kind.clause)
        yield from (*kind.say, *kind.know, *kind.unknown, *kind.third)


def _of_details() -> Iterator[str]:
    for detail in details():
        yield from (*detail.tell, *detail.ack)
        yield from (text for question in detail.questions for text in (*question.ask, *question.say))


def _of_slots() -> Iterator[str]:
    for name, values in slot_values().items():
        yield from () if name.startswith("syllable_") else values.training


def _of_files() -> Iterator[str]:
    parts = [path for path in PARTS.glob("*.txt") if path != RHYMES]
    for path in (knowledge._FILE, stories._FILE, *parts):
        yield from (line for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))


def _shapes(wordings: list[str]) -> set[str]:
    """The words of every text that the wordings allow, with one sign for whatever stands in a slot."""
    texts = (text for wording in wordings for text in choices(wording.removeprefix("*")))
    return {" ".join(words(re.sub(r"\{[^}]*\}", " V ", text))) for text in texts}
