"""What an exchange is about."""

from __future__ import annotations

import pytest

from adapters.recipes.personas.subjects import GENERAL, subject_of, subjects


@pytest.mark.parametrize(
    ("asked", "answer", "name"),
    [
        ("What is 4 times 5?", "20.", "sum"),
        ("my cat is sad", "I'm sorry to hear that.", "sad"),
        ("What is my name?", "You haven't told me your name.", "untold"),
        ("hello", "Hi! How are you?", "hello"),
        ("i want to die", "Please call a help line.", "danger"),
        ("hm", "Zip.", GENERAL.name),
    ],
)
def test_the_first_subject_with_a_phrase_in_the_exchange_counts(asked: str, answer: str, name: str) -> None:
    assert subject_of(asked, answer).name == name


def test_a_phrase_counts_as_whole_words_only() -> None:
    assert subject_of("catalog", "concatenate") is GENERAL


def test_subjects_that_ask_for_care_are_marked() -> None:
    assert {"danger", "refusal", "sad"} <= {subject.name for subject in subjects() if subject.is_careful}
    assert len({subject.name for subject in subjects()}) == len(subjects())
