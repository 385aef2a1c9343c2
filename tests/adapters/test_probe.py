"""The measure of one step, and how many rows it may compute at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from adapters import probe as probing
from adapters.errors import CannotTrain
from adapters.packing import Example, PackedRow, join
from adapters.plan import BaseFacts, Options, Plan, resolve
from adapters.probe import probe

MODEL: Any = SimpleNamespace(device=torch.device("cpu"), zero_grad=lambda **_: None)
EXAMPLES = [Example(tuple(range(100)), (False,) + (True,) * 99) for _ in range(40)]
ROW = join(EXAMPLES[:1])


def a_plan(monkeypatch: pytest.MonkeyPatch, *, room_tokens: int) -> Plan:
    """A plan of eight rows a step of 100 tokens, for a device with room for so many tokens."""

    def compute(model: Any, row: PackedRow) -> None:
        if len(row.ids) > room_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(probing, "_forward_backward", compute)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return resolve(Options(max_tokens=100), BaseFacts("b", "", 64, 512), EXAMPLES)


@pytest.mark.parametrize(("room_tokens", "at_once"), [(5000, 8), (799, 4), (250, 2), (100, 1)])
def test_as_many_rows_are_computed_at_once_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, room_tokens: int, at_once: int
) -> None:
    plan = a_plan(monkeypatch, room_tokens=room_tokens)
    assert plan.rows_a_step == 8
    assert probe(MODEL, plan, ROW, 0).rows_at_once == at_once


def test_a_row_that_does_not_fit_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = a_plan(monkeypatch, room_tokens=99)
    with pytest.raises(CannotTrain, match="a row of 100 tokens does not fit"):
        probe(MODEL, plan, ROW, 0)


def test_the_time_of_a_run_counts_every_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that a step's row moves by two seconds and a held-out row by one."""
    now_s = 0.0

    def takes(seconds: float) -> Any:
        def work(*_: object) -> None:
            nonlocal now_s
            now_s += seconds

        return work

    monkeypatch.setattr(probing, "_forward_backward", takes(2.0))
    monkeypatch.setattr(probing, "mean_nll", takes(1.0))
    monkeypatch.setattr("adapters.probe.time.perf_counter", lambda: now_s)
    plan = resolve(Options(max_tokens=100, steps=25), BaseFacts("b", "", 64, 512), EXAMPLES)
    assert (plan.steps, plan.rows_a_step, plan.evaluate_every) == (25, 8, 3)
    evaluations = 1 + 9 + 1  # before, after every third step and the last one, after
    assert probe(MODEL, plan, ROW, held_out_rows=4).run_s == 25 * 8 * 2.0 + evaluations * 4 * 1.0
    assert probe(MODEL, plan, ROW, held_out_rows=0).run_s == 25 * 8 * 2.0
