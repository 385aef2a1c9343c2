"""The user's own sentence given back in the second person."""

from __future__ import annotations

import random
import re

import pytest

from adapters.recipes.dialogues.details import details, with_values
from adapters.recipes.dialogues.dialogue import listening
from adapters.recipes.dialogues.reflection import reflected, reflection


@pytest.mark.parametrize(
    ("said", "given_back"),
    [
        ("I'm stuck at the airport in Porto.", "you're stuck at the airport in Porto"),
        ("Sorry! My keys fell into our lake.", "your keys fell into your lake"),
        ("I was late but I wasn't the last.", "you were late"),
        ("i am tired, because my cat wakes me at six", "you are tired"),
        ("We told ourselves that it was fine.", "you told yourselves that it was fine"),
        ("My dog ate the soup, and he was proud.", "your dog ate the soup"),
    ],
)
def test_a_sentence_comes_back_in_the_second_person(said: str, given_back: str) -> None:
    assert reflected(said) == given_back


@pytest.mark.parametrize(
    "said",
    [
        "It rains.",
        "What should I do?",
        "I love you.",
        "I think so.",
        "I don't know what to say.",
        "I want to die.",
        "I do.",
        "I like that too.",
        "I " + "really " * 20 + "like it.",
    ],
)
def test_what_would_sound_wrong_is_not_given_back(said: str) -> None:
    assert reflected(said) is None
    assert reflection(said, random.Random(1)) is None


def test_a_reflection_holds_the_words_and_asks_once_at_most() -> None:
    told = "I bought a red bike."
    answers = {reflection(told, random.Random(seed)) or "" for seed in range(200)}
    assert len(answers) > 30
    assert all("you bought a red bike" in answer.lower() for answer in answers)
    assert all(answer.removeprefix("You bought a red bike?").count("?") <= 1 for answer in answers)


def test_no_first_person_is_left_in_what_is_given_back() -> None:
    rng = random.Random(5)
    told = [with_values(detail, rng, ()).tell(rng) for detail in details() for _ in range(3)]
    given_back = [text for text in map(reflected, told) if text]
    assert len(given_back) > len(told) / 5
    assert [text for text in given_back if re.search(r"\b(I|I'm|my|our|me|am|myself)\b", text)] == []


def test_a_listener_answers_every_sentence_with_its_own_words() -> None:
    talks = [listening(random.Random(seed), 60, lambda _: "I walked to the lake.") for seed in range(20)]
    turns = [turn["content"] for talk in talks for turn in talk.messages if turn["role"] != "system"]
    heard = [turns[at + 1] for at, turn in enumerate(turns) if turn.lower().startswith("i walked to the lake")]
    assert len(heard) > 10
    assert all("walked to the lake" in answer for answer in heard)
