"""Instructions and the checks of their answers."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from adapters.recipes.dialogues.instructions import instruction
from adapters.recipes.dialogues.probes import instruction_probe


@given(seed=st.integers(), held_out=st.booleans())
def test_every_answer_passes_its_own_check_and_an_unfitting_one_does_not(seed: int, held_out: bool) -> None:
    task = instruction(random.Random(seed), held_out=held_out)
    assert task.check(task.answer), task
    assert task.copied.lower() in task.answer.lower(), task
    assert not task.check("I like to chat, and I am not sure. What do you think, and why?"), task


def test_the_probe_ends_with_the_instruction_and_carries_its_check() -> None:
    probe = instruction_probe(random.Random(1))
    assert probe.messages[-1]["role"] == "user"
    assert not probe.check("")
