"""Resolves how an adapter will be trained: every setting with the reason for its value. Pure.

The defaults come from published comparisons (LoRA Without Regret; PEFT's method comparison) and, for small bases and
few rows, from own runs on the bundled model; where a figure was measured, it says so.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from adapters.counted import counted
from adapters.errors import BadSettings
from adapters.packing import Example, epoch_bins
from adapters.start import Start

Preset = Literal["quick", "normal", "thorough"]
EPOCH_FACTOR: dict[Preset, float] = {"quick": 0.5, "normal": 1.0, "thorough": 2.0}
EPOCHS = (3, 20)
EPOCHS_OF_ONE_ROW = 40
"""Divided by the fourth root of the rows. On a 5M model and 50 rows, 12, 20 and 30 epochs ended within 1.5 %."""
MIN_STEPS = 80
"""Fewer teach a small model nothing it shows; measured with 20 rows, where 19 epochs were 38 steps."""
FEW_STEPS = 100
FEW_STEPS_LR = 3.0
"""Factor on the learning rate of so short a run; 20 rows: held-out perplexity 44 without it, 30 with it.

Not where a run goes on: what it begins with is not to be learned again.
"""
CHATS_A_STEP = 8
ROW_TOKENS = 512
MAX_TOKENS = 1024
ALPHA = 32
MAX_LR = 1e-3
"""Measured on hidden size 256, 50 rows: validation perplexity 74.8, 73.2, 78.3 at 5e-4, 1e-3, 2e-3."""
EVALUATIONS = 10
"""In a run, at most: measuring is to cost no more than training, of which it is about a third for the same chat."""
PATIENCE = 3
"""Evaluations in a row without a new best after which training ends."""
MIN_ROWS_TO_HOLD_OUT = 10
HELD_OUT_SHARE = 0.1
MAX_HELD_OUT = 200


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; None means: you decide."""

    preset: Preset = "normal"
    epochs: int | None = None
    steps: int | None = None
    """The most steps to train."""
    lr: float | None = None
    rank: int | None = None
    max_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What the plan needs to know about the base model."""

    name: str
    digest: str
    hidden: int
    context_tokens: int
    stored: str = "float32"
    """Type that its adapters are stored in, as torch calls it: that of its own weights where an adapter may have it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of one training run."""

    rank: int
    alpha: float
    lr: float
    epochs: int
    steps: int
    warmup_steps: int
    row_tokens: int
    rows_a_step: int
    evaluate_every: int
    seed: int
    reasons: dict[str, str] = field(compare=False, default_factory=dict)
    rows: tuple[list[int], ...] = field(compare=False, repr=False, default=())
    """Which chats lie in each packed row, those of all epochs one after the other."""

    def settings(self) -> dict[str, Any]:
        """Return the settings without their reasons; two runs with the same ones do the same."""
        return {setting.name: getattr(self, setting.name) for setting in fields(self) if setting.compare}


def max_tokens(options: Options, base: BaseFacts) -> int:
    """Return how long a chat may be. Raises BadSettings if that is more than the base was made for."""
    if options.max_tokens is None:
        return min(MAX_TOKENS, base.context_tokens)
    if not 16 <= options.max_tokens <= base.context_tokens:
        raise BadSettings(
            f"--max-length {options.max_tokens} does not fit {base.name} (use 16 to {base.context_tokens})"
        )
    return options.max_tokens


def resolve(
    options: Options, base: BaseFacts, examples: Sequence[Example], start: Start | None = None, *, held_out: int = 0
) -> Plan:
    """Return the plan for training on these examples, from a fresh adapter or going on from `start`.

    held_out: how many chats are measured each time.

    Raises BadSettings if that cannot be.
    """
    if not examples:
        raise BadSettings(_none_fits(max_tokens(options, base), base.context_tokens))
    reasons: dict[str, str] = {}
    lengths = [len(example.ids) for example in examples]
    epochs = _epochs(options, len(examples), reasons)
    row_tokens = max([min(ROW_TOKENS, options.max_tokens or ROW_TOKENS), *lengths])
    rows = epoch_bins(lengths, row_tokens, seed=options.seed, epoch=0)
    rows_a_step = max(1, round(CHATS_A_STEP * len(rows) / len(lengths)))
    reasons["rows_a_step"] = _why_so_many_rows(rows_a_step, len(lengths) / len(rows))
    least = round(MIN_STEPS * EPOCH_FACTOR[options.preset]) if options.epochs is None else 0
    most_rows = (options.steps or sys.maxsize) * rows_a_step
    packed = 1
    while len(rows) < most_rows and (packed < epochs or len(rows) <= (least - 1) * rows_a_step):
        rows += epoch_bins(lengths, row_tokens, seed=options.seed, epoch=packed)
        packed += 1
    steps = _steps(options, math.ceil(len(rows) / rows_a_step), reasons)
    if packed > epochs:
        reasons["epochs"] = f"so many that there are {counted(least, 'step')}"
    if len(rows) >= most_rows:
        reasons["epochs"] = "as many as the steps reach"
    return Plan(
        rank=_rank(options, len(examples), start, reasons),
        alpha=_alpha(start, reasons),
        lr=_lr(options, base.hidden, steps, start, reasons),
        epochs=packed,
        steps=steps,
        warmup_steps=max(1, round(0.03 * steps)),
        row_tokens=row_tokens,
        rows_a_step=rows_a_step,
        evaluate_every=max(1, math.ceil(steps / EVALUATIONS), math.ceil(held_out / CHATS_A_STEP / 3)),
        seed=options.seed,
        reasons=reasons,
        rows=tuple(rows),
    )


def _none_fits(longest: int, context_tokens: int) -> str:
    longer = f"give a longer --max-length, at most {context_tokens}, or " if longest < context_tokens else ""
    return (
        f"no chat fits into {longest} tokens up to its first reply, the system prompt included "
        f"({longer}shorten the chats)"
    )


def held_out(keys: Sequence[bytes]) -> set[int]:
    """Return which rows are kept for validation: a tenth of them, by their hash alone, none if there are few."""
    if len(keys) < MIN_ROWS_TO_HOLD_OUT:
        return set()
    count = min(MAX_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(keys))))
    return set(sorted(range(len(keys)), key=lambda i: (keys[i], i))[:count])


def is_done_improving(losses: Sequence[float]) -> bool:
    """Whether the last evaluations brought no new best, so that going on would only learn rows by heart."""
    return len(losses) > PATIENCE and min(losses[-PATIENCE:]) >= min(losses[:-PATIENCE])


def _why_so_many_rows(rows_a_step: int, chats_a_row: float) -> str:
    """Say how many chats a step really has: more than meant, where a row alone holds more short ones."""
    reason = f"about {counted(round(rows_a_step * chats_a_row), 'chat')} a step"
    if rows_a_step == 1 and round(chats_a_row) > CHATS_A_STEP:
        return f"{reason}, for so many short ones are in a row"
    return f"{reason}; LoRA learns worse from large batches"


def _epochs(options: Options, rows: int, reasons: dict[str, str]) -> int:
    if options.epochs is not None:
        reasons["epochs"] = "as asked"
        return options.epochs
    low, high = EPOCHS
    usual = min(high, max(low, EPOCHS_OF_ONE_ROW / math.sqrt(math.sqrt(rows))))
    epochs = max(1, round(usual * EPOCH_FACTOR[options.preset]))
    reasons["epochs"] = f"{EPOCHS_OF_ONE_ROW} / {rows}^(1/4), {low} to {high}, preset {options.preset}"
    return epochs


def _steps(options: Options, steps: int, reasons: dict[str, str]) -> int:
    if options.steps is None or options.steps > steps:
        return steps
    reasons["steps"] = "as asked"
    return options.steps


def _alpha(start: Start | None, reasons: dict[str, str]) -> float:
    if start:
        reasons["alpha"] = f"as {start.name} has it"
        return start.alpha
    reasons["alpha"] = "fixed, so that the best learning rate does not depend on the rank"
    return ALPHA


def _rank(options: Options, rows: int, start: Start | None, reasons: dict[str, str]) -> int:
    if options.rank is not None:
        reasons["rank"] = f"as asked; {start.name} has {start.rank}" if start else "as asked"
        return options.rank
    if start:
        reasons["rank"] = f"as {start.name} has it"
        return start.rank
    rank = 64 if rows > 50_000 else 32 if rows > 5_000 else 16
    reasons["rank"] = f"capacity for {counted(rows, 'row')}; the rank hardly changes anything else"
    return rank


def _lr(options: Options, hidden: int, steps: int, start: Start | None, reasons: dict[str, str]) -> float:
    if options.lr is not None:
        reasons["lr"] = "as asked"
        return options.lr
    lr = min(MAX_LR, 5e-4 * (2000 / hidden) ** 0.78)
    reasons["lr"] = f"hidden size {hidden}: 5e-4 x (2000 / hidden)^0.78, at most {MAX_LR:g}"
    if steps < FEW_STEPS and start is None:
        lr *= FEW_STEPS_LR
        reasons["lr"] += f"; x {FEW_STEPS_LR:g} for a run under {FEW_STEPS} steps"
    return float(f"{lr:.2g}")
