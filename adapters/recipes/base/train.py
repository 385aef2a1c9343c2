"""The training loop: language stage, then chat stage, one model, resumable at any step.

Weight matrices learn with Muon, embeddings and norms with AdamW; the output layer is computed only where
there is a label.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from adapters.recipes.base.checkpoint import RunState, load_checkpoint, save_checkpoint
from adapters.recipes.base.documents import NO_LABEL
from adapters.recipes.base.mixture import Mixture
from adapters.recipes.base.progress import Budget, is_late, rate_factor, stage_at
from adapters.recipes.base.rows import Batch

Body = Callable[..., Any]  # the network without its output layer, as it is or compiled
Report = Callable[[dict[str, float | int | str]], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: budget, peak rates, how often to report and to save."""

    budget: Budget
    matrix_rate: float = 3e-3
    other_rate: float = 3e-3
    weight_decay: float = 0.02
    clip: float = 1.0
    report_steps: int = 50
    save_s: float = 180.0
    is_bfloat16: bool = True
    compiles: bool = False


def train(model: LlamaForCausalLM, mixture: Mixture, plan: Plan, checkpoint: Path, report: Report) -> RunState:
    """Train until the budget is used, going on from the checkpoint where there is one."""
    optimizers = make_optimizers(model, plan)
    state = load_checkpoint(checkpoint, model, optimizers) or RunState()
    model.train()
    body = torch.compile(model.model, dynamic=False) if plan.compiles else model.model
    started = time.monotonic() - state.seconds
    saved, window = time.monotonic(), _Window(state)
    while (share := plan.budget.share(state.step, state.seconds)) < 1:
        stage = stage_at(share)
        batch = mixture.batch(stage, state.step, is_late=is_late(share))
        _set_rates(optimizers, plan, rate_factor(share))
        loss, labels = _step(model, body, batch, optimizers, plan)
        state.step += 1
        state.tokens += batch.tokens
        state.labels += labels
        state.seconds = time.monotonic() - started
        window.add(loss, labels)
        if state.step % plan.report_steps == 0:
            entry = window.entry(state, stage, share)
            state.log.append(entry)
            report(entry)
            window = _Window(state)
        if time.monotonic() - saved > plan.save_s:
            save_checkpoint(checkpoint, state, model, optimizers)
            saved = time.monotonic()
    save_checkpoint(checkpoint, state, model, optimizers)
    return state


def make_optimizers(model: LlamaForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(
        matrices, lr=plan.matrix_rate, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    adam = torch.optim.AdamW(others, lr=plan.other_rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [muon, adam]


def batch_loss(model: LlamaForCausalLM, body: Body, batch: Batch) -> tuple[torch.Tensor, int]:
    """Mean loss over the labelled places of a batch, and how many there are."""
    hidden = body(input_ids=batch.ids, position_ids=batch.positions, use_cache=False).last_hidden_state
    targets = batch.labels[:, 1:].reshape(-1)
    chosen = targets != NO_LABEL
    logits = model.lm_head(hidden[:, :-1].reshape(-1, hidden.shape[-1])[chosen])
    return functional.cross_entropy(logits.float(), targets[chosen]), int(chosen.sum())


def _step(
    model: LlamaForCausalLM,
    body: Body,
    batch: Batch,
    optimizers: list[torch.optim.Optimizer],
    plan: Plan,
) -> tuple[float, int]:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=plan.is_bfloat16):
        loss, labels = batch_loss(model, body, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item(), labels


def _set_rates(optimizers: list[torch.optim.Optimizer], plan: Plan, factor: float) -> None:
    for optimizer, peak in zip(optimizers, (plan.matrix_rate, plan.other_rate), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = peak * factor


class _Window:
    """Sums up the steps between two reports."""

    def __init__(self, state: RunState) -> None:
        self._loss, self._labels = 0.0, 0
        self._tokens, self._seconds = state.tokens, state.seconds

    def add(self, loss: float, labels: int) -> None:
        self._loss += loss * labels
        self._labels += labels

    def entry(self, state: RunState, stage: str, share: float) -> dict[str, float | int | str]:
        """One line of the loss curve."""
        return {
            "step": state.step,
            "stage": stage,
            "share": round(share, 4),
            "loss": round(self._loss / max(1, self._labels), 4),
            "tokens": state.tokens,
            "seconds": round(state.seconds, 1),
            "tokens_per_s": round((state.tokens - self._tokens) / max(1e-9, state.seconds - self._seconds)),
        }
