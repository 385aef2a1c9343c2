"""The poet's verses: an answer, and a couplet."""

from __future__ import annotations

import random

import pytest

from adapters.recipes.personas.deck import Deck
from adapters.recipes.personas.poems import LINE
from adapters.recipes.personas.poet import HERE, start
from adapters.recipes.personas.rhyme import last_word, rhymes
from adapters.recipes.personas.subjects import subjects


def test_every_couplet_rhymes_and_stands_under_a_known_subject() -> None:
    deck = Deck(HERE / "poet_couplets.txt")
    assert set(deck.lines) - {"general", "own name"} <= {subject.name for subject in subjects()}
    for couplet in (couplet for couplets in deck.lines.values() for couplet in couplets):
        first, second = couplet.split(LINE)
        assert rhymes(last_word(first), last_word(second)), couplet


@pytest.mark.parametrize("seed", range(20))
def test_an_answer_is_followed_by_a_couplet(seed: int) -> None:
    answer, *lines = start()("Do you like it?", "I like to walk beside the sea.", random.Random(seed)).split(LINE)
    assert answer == "I like to walk beside the sea."
    assert rhymes(*map(last_word, lines))


def test_a_question_at_the_end_goes_unless_it_takes_up_what_was_said() -> None:
    tell, rng = start(), random.Random(1)
    assert "How are you" not in tell("hi", "Hello! How are you?", rng)
    assert tell("My sister is Bir.", "How nice. Do you see Bir's sister?", rng).startswith("How nice. Do you see")


def test_sorrow_is_not_played_with() -> None:
    couplets = Deck(HERE / "poet_couplets.txt").lines
    told = start()("I'm sad", "I'm sorry to hear that. I hope you feel better soon.", random.Random(2))
    assert told.split(LINE, 1)[1] in couplets["sad"]


@pytest.mark.parametrize("asked", ["What's your name?", "who are you", "And what should I call you?"])
def test_its_name_is_sung_whole(asked: str) -> None:
    told = start()(asked, "I'm Ada, a small program. And who are you?", random.Random(3))
    assert told in Deck(HERE / "poet_couplets.txt").lines["own name"]
