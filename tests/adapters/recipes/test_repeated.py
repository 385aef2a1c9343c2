"""Batches that are learnt from more than once."""

from __future__ import annotations

from itertools import pairwise

import torch

from adapters.recipes.base.mixture import Stage
from adapters.recipes.base.repeated import BLOCK, Repeated
from adapters.recipes.base.rows import Batch


class Counting:
    """Gives batches that hold their own number, and remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Stage, int]] = []

    def batch(self, stage: Stage, step: int, *, is_late: bool = False) -> Batch:
        self.asked.append((stage, step))
        number = torch.tensor([[step]])
        return Batch(number, number, number)


def test_a_block_of_batches_is_given_twice_and_asked_for_once() -> None:
    source = Counting()
    repeated = Repeated(source, passes=2)
    given = [int(repeated.batch("chat", step).ids) for step in range(4 * BLOCK)]
    first, second = list(range(BLOCK)), list(range(BLOCK, 2 * BLOCK))
    assert given == [*first, *first, *second, *second]
    assert [step for _, step in source.asked] == [*first, *second]


def test_one_pass_gives_every_batch_once_in_order() -> None:
    repeated = Repeated(Counting(), passes=1)
    given = [int(repeated.batch("chat", step).ids) for step in range(3 * BLOCK)]
    assert all(after == before + 1 for before, after in pairwise(given))


def test_a_run_resumed_within_a_second_pass_gets_what_an_unbroken_one_gets() -> None:
    unbroken, resumed = Repeated(Counting(), passes=2), Repeated(Counting(), passes=2)
    for step in range(BLOCK + 5):
        unbroken.batch("chat", step)
    assert int(resumed.batch("chat", BLOCK + 5).ids) == int(unbroken.batch("chat", BLOCK + 5).ids)


def test_a_batch_of_another_stage_is_not_given_again() -> None:
    source = Counting()
    repeated = Repeated(source, passes=2)
    repeated.batch("language", 3)
    repeated.batch("chat", BLOCK + 3)
    assert source.asked == [("language", 3), ("chat", 3)]
