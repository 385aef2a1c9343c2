"""The pirate's accent."""

from __future__ import annotations

import random

from adapters.recipes.personas.pirate import piratical


def test_words_are_a_pirates_and_values_stay() -> None:
    said = {piratical("who?", "Your dog is called Yorick, my friend.", random.Random(seed)) for seed in range(40)}
    assert all("Yer dog is called Yorick, me matey" in text for text in said)
    assert len(said) > 10


def test_an_article_fits_the_pirates_word() -> None:
    assert all("An ahoy" in piratical("what?", "A hello.", random.Random(seed)) for seed in range(20))
