"""Drills of meaningless tokens: everything that is learnt stands earlier in the drill."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from adapters.recipes.base.drills import drill
from adapters.recipes.base.tokenizer import CONTROL_TOKENS, END

END_ID = CONTROL_TOKENS.index(END)


@given(seed=st.integers(0, 5000), length=st.integers(24, 300))
def test_all_that_is_learnt_was_seen_before(seed: int, length: int) -> None:
    document = drill(random.Random(seed), 400, length)
    assert len(document.weights) == len(document) <= length
    learnt = [at for at, weight in enumerate(document.weights) if weight]
    assert learnt
    for at in learnt:
        assert document.ids[at] in document.ids[:at] or document.ids[at] == END_ID


@given(seed=st.integers(0, 5000))
def test_a_drill_holds_no_role_and_no_padding(seed: int) -> None:
    ids = drill(random.Random(seed), 400, 200).ids
    assert not {0, 3, 4, 5} & set(ids)
