"""Very short stories, and what is said about them."""

from __future__ import annotations

import random

from adapters.recipes.dialogues.stories import story


def test_who_helped_is_asked_of_a_story_with_a_helper_only() -> None:
    told = [story(random.Random(seed)) for seed in range(1500)]
    helped = [exchanges[0][1] for exchanges in told if exchanges[-1][0].startswith("Who helped")]
    assert len(helped) > 20
    helps = ("showed the way", "came to help", "pointed to the stars", "Try again tomorrow", "brought stones")
    assert [text for text in helped if not any(each in text for each in helps)] == []
