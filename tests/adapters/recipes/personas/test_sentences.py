"""Which sentences ask, tell and take up what was said."""

from __future__ import annotations

import pytest

from adapters.recipes.personas.sentences import echoes, is_question, parted, tells


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what is my name", True),
        ("Whats up", True),
        ("You know?", True),
        ("and why", True),
        ("Tell me", False),
        ("whatever", False),
    ],
)
def test_a_question_is_known_without_its_mark(text: str, expected: bool) -> None:
    assert is_question(text) is expected


def test_the_closing_question_is_parted_from_what_is_told() -> None:
    assert parted("I see. Go on. Why?") == (["I see.", "Go on."], "Why?")
    assert parted("Why?") == ([], "Why?")
    assert parted("Paris.") == (["Paris."], "")


def test_a_sign_of_listening_tells_nothing() -> None:
    assert not tells("I see.")
    assert tells("It is Rex.")


def test_a_question_that_takes_up_a_name_a_number_or_a_longer_word_echoes_it() -> None:
    assert echoes("Do you see Bo often?", "my brother is bo")
    assert echoes("How is it to be 74?", "I turned 74")
    assert echoes("What do you like about drums?", "i play the drums")
    assert not echoes("How are you?", "are you ok")
