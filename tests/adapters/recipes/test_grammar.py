"""The text grammar of the dialogue generator."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.recipes.dialogues.grammar import choose, expand, sentence_case, slots_of, with_articles
from adapters.recipes.dialogues.typing_habits import TypingHabit, misspell, words_of


def test_every_choice_of_nested_brackets_can_come() -> None:
    texts = {choose("[hi|hello [there|you]|]!", random.Random(seed)) for seed in range(60)}
    assert texts == {"hi!", "hello there!", "hello you!", "!"}


def test_slots_are_filled_and_the_article_fits() -> None:
    values = {"animal": "owl", "thing": "bike"}
    assert expand("A {animal} on a {thing}.", random.Random(0), values.__getitem__) == "An owl on a bike."
    assert slots_of("{animal} and {thing}") == {"animal", "thing"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 8, a 83, a 11 and a 18", "an 8, an 83, an 11 and an 18"),
        ("a 18:00 bus", "an 18:00 bus"),
        ("a 7, a 110 and a 1800", "a 7, a 110 and a 1800"),
        ("A and B", "A and B"),
        ("I got an A in art.", "I got an A in art."),
        ("Ask! A owl, a eagle, a umbrella.", "Ask! An owl, an eagle, an umbrella."),
        ("a ukulele, a uniform, a euro, a one-way street", "a ukulele, a uniform, a euro, a one-way street"),
    ],
)
def test_an_article_goes_by_the_word_after_it(text: str, expected: str) -> None:
    assert with_articles(text) == expected


def test_an_empty_choice_leaves_no_gap_before_a_stop() -> None:
    assert expand("Hello [|] , you [|] .", random.Random(0), str) == "Hello, you."


def test_sentences_begin_with_a_capital() -> None:
    assert sentence_case("pasta! was it good? yes.") == "Pasta! Was it good? Yes."


@given(st.text(alphabet="abcdefgh", min_size=4, max_size=12), st.integers())
def test_a_slip_keeps_the_first_letter_and_changes_little(word: str, seed: int) -> None:
    slipped = misspell(word, random.Random(seed))
    assert slipped[0] == word[0]
    assert abs(len(slipped) - len(word)) <= 1


def test_protected_words_are_never_misspelt() -> None:
    habit = TypingHabit(False, False, False, False, False, typo_rate=1.0, chat_words=True)
    for seed in range(40):
        assert "Linnea" in habit.type("Linnea is here", random.Random(seed), frozenset({"linnea"}))


def test_no_word_of_a_value_is_misspelt() -> None:
    value = "Torvella's Kettle, forget-me-nots"
    habit = TypingHabit(False, False, False, False, False, typo_rate=1.0, chat_words=True)
    for seed in range(40):
        typed = habit.type(f"{value} remembered", random.Random(seed), words_of([value]))
        assert value in typed
        assert not typed.endswith("remembered")


def test_who_types_small_may_still_write_names_large() -> None:
    for lowers_names, expected in ((False, "my dog Rex barks"), (True, "my dog rex barks")):
        habit = TypingHabit(True, lowers_names, False, False, False, typo_rate=0.0, chat_words=False)
        typed = {habit.type("My dog Rex barks", random.Random(seed), frozenset({"rex"})) for seed in range(8)}
        assert expected in typed
