"""What is told, corrected and summed up."""

from __future__ import annotations

import random

import pytest

from adapters.recipes.dialogues.facts import fact_kinds
from adapters.recipes.dialogues.memory_talk import correct, new_fact, summary
from adapters.recipes.dialogues.personas import Persona
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.typing_habits import TypingHabit


@pytest.mark.parametrize("kind", ["season", "favday", "birthday"])
def test_a_correction_says_something_else(kind: str) -> None:
    kinds = fact_kinds()
    for seed in range(40):
        talk = _talk(seed)
        told = new_fact(talk, kinds[kind])
        correct(talk)
        assert talk.facts[kind].value != told.value


@pytest.mark.parametrize("said", ["My dog is ill.", "im tired", "I live in Oslo"])
def test_who_has_told_of_himself_is_not_said_to_have_told_nothing(said: str) -> None:
    talk = _talk(1)
    talk.exchange(said, "I see.")
    summary(talk)
    assert len(talk.turns) == 2


def test_who_has_told_nothing_hears_so() -> None:
    talk = _talk(1)
    talk.exchange("What is snow?", "Frozen water.")
    summary(talk)
    assert "yet" in talk.turns[-1]["content"] or "anything" in talk.turns[-1]["content"]


def test_a_name_is_not_called_a_role() -> None:
    gardener = Persona("Devoo", "gardener", None, is_brief=False)
    answers = {gardener.answer("name", random.Random(seed)) for seed in range(200)}
    assert not any(answer.startswith(("My name is Devoo, ", "They call me Devoo, ")) for answer in answers)
    assert any("Devoo, a gardener" in answer for answer in answers)


def _talk(seed: int) -> Talk:
    habit = TypingHabit(False, False, False, False, False, 0.0, False)
    return Talk(random.Random(seed), Persona("Ada", None, None, is_brief=False), habit)
