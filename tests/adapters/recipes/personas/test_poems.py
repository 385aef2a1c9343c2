"""Poems that are asked for."""

from __future__ import annotations

import random

import pytest

from adapters.recipes.personas.deck import Deck
from adapters.recipes.personas.poems import ANYTHING, FILE, LINE, poem_chats
from adapters.recipes.personas.rhyme import last_word, rhymes


def test_every_couplet_rhymes() -> None:
    couplets = [couplet for of_thing in Deck(FILE).lines.values() for couplet in of_thing]
    assert [couplet for couplet in couplets if not rhymes(*map(last_word, couplet.split(LINE)))] == []


def test_a_poem_is_about_what_was_asked_for_and_says_nothing_twice() -> None:
    lines = Deck(FILE).lines
    for asked, poem in poem_chats(300, random.Random(3)):
        verses = poem.split(LINE)
        couplets = [LINE.join(verses[at : at + 2]) for at in range(0, len(verses), 2)]
        thing = next(thing for thing, of_thing in lines.items() if couplets[0] in of_thing)
        assert set(couplets) <= set(lines[thing])
        assert len(set(couplets)) == len(couplets)
        assert thing in asked or thing == ANYTHING


def test_every_thing_is_asked_for_about_equally_often() -> None:
    asked = " ".join(chat[0] for chat in poem_chats(400, random.Random(4)))
    assert [thing for thing in Deck(FILE).lines if thing != ANYTHING and thing not in asked] == []


@pytest.mark.parametrize("seed", range(3))
def test_the_same_source_of_chance_gives_the_same_poems(seed: int) -> None:
    assert list(poem_chats(20, random.Random(seed))) == list(poem_chats(20, random.Random(seed)))
