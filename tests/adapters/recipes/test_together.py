"""Several things told in one message."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from adapters.recipes.dialogues.detail_talk import note
from adapters.recipes.dialogues.details import details, facts_of, with_values
from adapters.recipes.dialogues.facts import Fact, fact_kinds
from adapters.recipes.dialogues.memory_talk import ask_known, correct, tell_together
from adapters.recipes.dialogues.personas import Persona
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.together import Telling, acknowledged, greeted, in_one_breath
from adapters.recipes.dialogues.typing_habits import TypingHabit


def test_one_message_tells_them_all() -> None:
    for seed in range(300):
        talk = _talk(seed)
        tell_together(talk)
        assert len(talk.turns) == 2
        for fact in talk.facts.values():
            assert fact.value.lower() in talk.turns[0]["content"].lower()


def test_what_goes_on_in_a_sentence_loses_its_capital_unless_it_is_a_name() -> None:
    told: list[Telling] = [_fact("name", "Lena"), _fact("dog", "Rex")]
    messages = [in_one_breath(told, random.Random(seed)) for seed in range(300)]
    assert all("Lena" in message and "Rex" in message for message in messages)
    within = re.compile(r"(?:,|\band|-|;|by the way|also) (my|our|we|the|My|Our|We|The) ")
    words = [word for message in messages for word in within.findall(message)]
    assert len(words) > 30
    assert all(word.islower() for word in words)


@pytest.mark.parametrize(
    ("message", "within"),
    [("My cat is ill.", "my cat is ill."), ("Lena here.", "Lena here."), ("I like tea.", "I like tea.")],
)
def test_after_a_greeting_that_goes_on_the_first_word_is_small_unless_a_name(message: str, within: str) -> None:
    said = [greeted(message, random.Random(seed)) for seed in range(60)]
    parts = [(each[: -len(message)].rstrip()[-1] in ".!", each[-len(message) :]) for each in said]
    assert set(parts) == {(True, message), (False, within)}


def test_who_greets_already_is_not_made_to_greet_again() -> None:
    assert {greeted("Hello, I'm Lena.", random.Random(seed)) for seed in range(20)} == {"Hello, I'm Lena."}


def test_an_answer_asks_one_question_at_most() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        told: list[Telling] = [with_values(detail, rng, ()) for detail in rng.sample(details(), 2)]
        answer = acknowledged([_fact("name", "Lena"), *told], rng)
        assert sum(part.endswith("?") for part in answer.split(". ")) <= 1


def test_who_is_told_of_in_passing_can_be_asked_for_by_name() -> None:
    talk, kinds = _talk(3), fact_kinds()
    moving = next(detail for detail in details() if detail.name == "relative moving")
    told = note(talk, with_values(moving, random.Random(1), ()))
    relative = told.values["relative"]
    assert talk.facts == ({relative: Fact(kinds[relative], told.values["name"])} if relative in kinds else {})


def test_what_a_detail_says_is_a_fact_with_its_value() -> None:
    kinds, rng = fact_kinds(), random.Random(2)
    saying = [detail for detail in details() if detail.says]
    assert len(saying) >= 10
    for detail in saying:
        assert {kinds[name].slot for name in detail.says} <= {*detail.slots}, detail.name
        told = with_values(detail, rng, ())
        assert {fact.kind.name for fact in facts_of(told)} >= detail.says
        assert all(fact.value in told.values.values() for fact in facts_of(told))


def test_what_was_said_in_passing_is_not_taken_back() -> None:
    """Its other words would still say the old name."""
    talk = _talk(1)
    moving = next(detail for detail in details() if detail.name == "relative moving")
    note(talk, with_values(moving, random.Random(1), ()))
    correct(talk)
    assert talk.turns == []


def test_all_that_was_told_is_asked_for() -> None:
    asked_details = 0
    for seed in range(60):
        talk = _talk(seed)
        tell_together(talk)
        ask_known(talk)
        values = {value for told in talk.details for value in told.values.values()}
        asked_details += any(value in talk.turns[-1]["content"] for value in values)
        assert len(talk.turns) == 4
    assert asked_details > 10
    assert all(before["role"] != after["role"] for before, after in pairwise(talk.turns))


def _fact(kind: str, value: str) -> Fact:
    return Fact(fact_kinds()[kind], value)


def _talk(seed: int) -> Talk:
    habit = TypingHabit(False, False, False, False, False, 0.0, False)
    return Talk(random.Random(seed), Persona("Ada", None, None, False), habit)
