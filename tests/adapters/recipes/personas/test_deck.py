"""Lines by key, dealt evenly."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from adapters.recipes.personas.deck import Deck


@pytest.fixture
def deck(tmp_path: Path) -> Deck:
    path = tmp_path / "lines.txt"
    path.write_text("# of no use\n= tea\none\ntwo\nthree\n= coffee\nfour\n", "utf-8")
    return Deck(path)


def test_every_line_of_a_key_comes_equally_often(deck: Deck) -> None:
    rng = random.Random(0)
    assert set(Counter(deck.deal("tea", rng) for _ in range(30)).values()) == {10}
    assert "coffee" in deck
    assert "milk" not in deck


def test_only_lines_that_fit_are_dealt(deck: Deck) -> None:
    rng = random.Random(0)
    assert {deck.deal("tea", rng, lambda line: "t" in line) for _ in range(20)} == {"two", "three"}
    assert deck.deal("tea", rng, lambda line: False) == ""
