"""Measures one training step before the run, so that time and memory are known and not guessed."""

import math
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch

from adapters.errors import CannotTrain
from adapters.loss import label_nll, mean_nll, row_tensors
from adapters.packing import PackedRow, end_to_end
from adapters.plan import Plan
from chatbot.engine.out_of_memory import is_out_of_memory

GPU_TOKENS = 4096
"""As many as keep a GPU busy; attention costs more the longer the row, which it does not feel up to here."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a step costs here."""

    step_s: float
    run_s: float
    """All steps and evaluations, if none is spared by stopping early."""
    peak_bytes: int
    """Memory of the whole process on a CPU, of the tensors on a GPU."""
    rows_at_once: int
    """How many of a step's rows are computed end to end, a divisor of them: as many as a GPU has room for."""


def probe(model: Any, plan: Plan, longest: PackedRow, held_out_rows: int) -> Probe:  # peft is untyped
    """Return the cost of training, from a step and an evaluation of the longest row. Changes nothing.

    Raises CannotTrain if not even that fits into memory.
    """
    for at_once in _choices(plan):
        if (taken_s := _measured_s(model, end_to_end([longest] * at_once))) is not None:
            step_s = taken_s / at_once * plan.rows_a_step
            evaluations = math.ceil(plan.steps / plan.evaluate_every) + 2  # before, after every so many steps, after
            measuring_s = evaluations * held_out_rows * _evaluated_s(model, longest) if held_out_rows else 0.0
            return Probe(step_s, plan.steps * step_s + measuring_s, _peak_bytes(model), at_once)
    raise CannotTrain(
        f"a row of {len(longest.ids)} tokens does not fit into memory (give a smaller --max-length or --rank)"
    )


def _choices(plan: Plan) -> list[int]:
    """Return how many of a step's rows may be computed end to end, most first: on a GPU, where few keep it waiting."""
    most = max(1, GPU_TOKENS // plan.row_tokens) if torch.cuda.is_available() else 1
    return [count for count in range(min(most, plan.rows_a_step), 0, -1) if plan.rows_a_step % count == 0]


def _measured_s(model: Any, row: PackedRow) -> float | None:
    """Return the seconds that a forward and backward of this row take; None if it does not fit into memory."""
    try:
        _forward_backward(model, row)  # the first one also pays for warming up
        began_s = time.perf_counter()
        _forward_backward(model, row)
        return time.perf_counter() - began_s
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    model.zero_grad(set_to_none=True)
    return None


def _evaluated_s(model: Any, row: PackedRow) -> float:
    """Return the seconds that it takes to say what this row loses: under LoRA about half of a forward and backward."""
    began_s = time.perf_counter()
    mean_nll(model, [row], model.device)
    return time.perf_counter() - began_s


def _forward_backward(model: Any, row: PackedRow) -> None:
    nll, _ = label_nll(model, row_tensors(row, model.device))
    nll.backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    if model.device.type == "cuda":
        torch.cuda.synchronize()  # until then it has only been told what to do


def _peak_bytes(model: Any) -> int:
    if model.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
