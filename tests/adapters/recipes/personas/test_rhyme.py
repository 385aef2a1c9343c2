"""Which words rhyme."""

from __future__ import annotations

import pytest

from adapters.recipes.personas.rhyme import last_word, rhymes


@pytest.mark.parametrize(("one", "other"), [("day", "grey"), ("blue", "dew"), ("late", "eight"), ("yonder", "ponder")])
def test_words_of_one_sound_rhyme_however_they_are_spelt(one: str, other: str) -> None:
    assert rhymes(one, other)


@pytest.mark.parametrize(("one", "other"), [("home", "come"), ("tree", "tree"), ("day", "night"), ("", "day")])
def test_other_words_and_a_word_with_itself_do_not(one: str, other: str) -> None:
    assert not rhymes(one, other)


@pytest.mark.parametrize(("line", "word"), [("It's Rex!", "rex"), ("I don't", "don't"), ("2 is 2.", ""), ("", "")])
def test_the_last_word_of_a_line_is_found(line: str, word: str) -> None:
    assert last_word(line) == word
