"""Measures one training step before the run, so that time and memory are known and not guessed."""

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from adapters.errors import CannotTrain
from adapters.loss import label_nll, row_tensors, rows_at_once
from adapters.packing import PackedRow, end_to_end
from adapters.plan import Plan
from chatbot.engine.out_of_memory import is_out_of_memory


@dataclass(frozen=True, slots=True)
class Probe:
    """What a step costs here."""

    step_s: float
    run_s: float
    """All steps and evaluations, if none is spared by stopping early."""
    peak_bytes: int
    """Memory of the whole process on a CPU, of the tensors on a GPU."""


def probe(model: Any, plan: Plan, rows: Sequence[PackedRow], held_out_rows: int) -> Probe:  # peft is untyped
    """Return the cost of training, from one forward and backward of the longest row. Changes nothing.

    Raises CannotTrain if not even that fits into memory.
    """
    at_once = rows_at_once(plan)
    longest = end_to_end([max(rows, key=lambda row: len(row.ids))] * at_once)
    try:
        _forward_backward(model, longest)  # the first one also pays for warming up
        began_s = time.perf_counter()
        _forward_backward(model, longest)
        row_s = time.perf_counter() - began_s
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CannotTrain(
            f"a row of {len(longest.ids)} tokens does not fit into memory (give a smaller --max-length or --rank)"
        ) from error
    step_s = row_s * plan.rows_a_step / at_once
    evaluations = plan.steps // plan.evaluate_every + 2
    run_s = plan.steps * step_s + evaluations * held_out_rows * row_s / at_once / 3
    return Probe(step_s, run_s, _peak_bytes(model))


def _forward_backward(model: Any, row: PackedRow) -> None:
    nll, _ = label_nll(model, row_tensors(row, model.device))
    nll.backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)


def _peak_bytes(model: Any) -> int:
    if model.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
