"""The pirate's accent."""

from __future__ import annotations

import random
import re

from adapters.recipes.personas.pirate import piratical


def test_words_are_a_pirates_and_values_stay() -> None:
    said = {piratical("who?", "Your dog is called Yorick, my friend.", random.Random(seed)) for seed in range(40)}
    assert all("Yer dog is called Yorick, me matey" in text for text in said)
    assert len(said) > 10


def test_a_sorrow_gets_no_merry_shout() -> None:
    said = {piratical("my dog died", "I'm sorry. Take care of yourself.", random.Random(seed)) for seed in range(60)}
    assert all("I be sorry" in text and "yerself" in text for text in said)
    assert not [text for text in said if re.match(r"(Yo ho ho|Huzzah|Ha|Shiver|Blimey|Avast|Arr)!", text)]


def test_an_article_fits_the_pirates_word() -> None:
    assert all("An ahoy" in piratical("what?", "A hello.", random.Random(seed)) for seed in range(20))
