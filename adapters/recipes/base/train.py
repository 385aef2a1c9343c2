"""The training loop: language stage, then chat stage, one model, resumable at any step.

Weight matrices learn with Muon, embeddings and norms with AdamW; the output layer is computed only where
there is a label.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from adapters.recipes.base.batched_muon import BatchedMuon
from adapters.recipes.base.checkpoint import RunState, load_checkpoint, save_checkpoint
from adapters.recipes.base.packed_attention import PACKED
from adapters.recipes.base.prefetch import Batches
from adapters.recipes.base.progress import Budget, is_late, rate_factor, stage_at
from adapters.recipes.base.rows import Batch
from adapters.recipes.base.throughput import flops_per_token, peak_flops
from adapters.recipes.base.tokenizer import CONTEXT

HeadLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
PEAK_RATE = 3e-3
_LONGEST_EAGER = 512
"""On a CPU the backward pass of torch's fused attention costs more than plain products up to this row length."""
Report = Callable[[dict[str, float | int | str]], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: budget, device, peak rates, how often to report and to save."""

    budget: Budget
    device: str = "cpu"
    pause_after_s: float = math.inf
    """Seconds after which to save and stop, to go on with the next command."""
    peak_rate: float = PEAK_RATE
    weight_decay: float = 0.02
    clip: float = 1.0
    report_steps: int = 50
    save_s: float = 180.0
    is_bfloat16: bool = True
    compiles: bool = False
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What decides the weights beside the code; a checkpoint of which something else was asked is refused."""

    def is_over(self, state: RunState) -> bool:
        """Whether the budget is used."""
        return self.budget.share(state.step, state.seconds) >= 1


def train(model: LlamaForCausalLM, batches: Batches, plan: Plan, checkpoint: Path, report: Report) -> RunState:
    """Train until the budget is used or it is time to pause, going on from the checkpoint where there is one.

    Raises OtherRun where the checkpoint is of another run.
    """
    model.to(torch.device(plan.device))
    optimizers = make_optimizers(model, plan)
    state = load_checkpoint(checkpoint, model, optimizers, plan.asked)
    learn = _learner(model, optimizers, plan)
    window = _Window(state, peak_flops(torch.device(plan.device), is_bfloat16=plan.is_bfloat16))
    saved = begun = time.monotonic()
    before_s = state.seconds
    while not plan.is_over(state) and time.monotonic() - begun < plan.pause_after_s:
        share = plan.budget.share(state.step, state.seconds)
        batch = batches.batch(stage_at(share), state.step, is_late=is_late(share))
        loss, labels = learn(batch, rate_factor(share))
        state.count(batch.tokens, labels, before_s + time.monotonic() - begun)
        window.add(loss, labels, batch.tokens * flops_per_token(model, batch.context))
        if state.step % plan.report_steps == 0:
            state.log.append(window.close(share))
            report(state.log[-1])
        if time.monotonic() - saved > plan.save_s:
            save_checkpoint(checkpoint, state, model, optimizers)
            saved = time.monotonic()
    save_checkpoint(checkpoint, state, model, optimizers)
    return state


def make_optimizers(model: LlamaForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    learnt = {name: each for name, each in model.named_parameters() if each.requires_grad}
    matrices = [each for name, each in learnt.items() if each.ndim == 2 and "embed" not in name]
    others = [each for name, each in learnt.items() if each.ndim != 2 or "embed" in name]
    dtype = torch.bfloat16 if plan.is_bfloat16 else torch.float32
    muon = BatchedMuon(matrices, lr=plan.peak_rate, weight_decay=plan.weight_decay, dtype=dtype)
    if not others:
        return [muon]
    adam = torch.optim.AdamW(
        others, lr=plan.peak_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=plan.device == "cuda"
    )
    return [muon, adam]


def head_loss(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy, by `weights` `[labels]`, of the output layer `head` over `hidden` `[labels, hidden]`."""
    losses = functional.cross_entropy(functional.linear(hidden, head).float(), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


def batch_loss(model: LlamaForCausalLM, batch: Batch, loss: HeadLoss = head_loss) -> tuple[torch.Tensor, int]:
    """Weighted mean loss over what a batch teaches, on the model's device, and how many tokens that is."""
    send = partial(_sent, device=model.device)
    places = batch.learnt
    hidden = model.model(
        input_ids=send(batch.ids), position_ids=send(batch.positions), use_cache=False, **_bounds(model, batch)
    ).last_hidden_state
    learnt = hidden.reshape(-1, hidden.shape[-1])[send(places)]
    targets, weights = batch.ids.flatten()[places + 1], batch.weights.flatten()[places + 1]
    return loss(learnt, model.lm_head.weight, send(targets), send(weights)), len(places)


def _bounds(model: LlamaForCausalLM, batch: Batch) -> dict[str, Any]:
    """Where documents begin, for the attention that goes by it."""
    if model.config._attn_implementation != PACKED:
        return {}
    starts = _sent(batch.starts, model.device)
    torch._dynamo.mark_dynamic(starts, 0)
    return {"cu_seq_lens_q": starts, "max_length_q": CONTEXT}


def _sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on this device; a CUDA device goes on with what it does meanwhile."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _learner(
    model: LlamaForCausalLM, optimizers: list[torch.optim.Optimizer], plan: Plan
) -> Callable[[Batch, float], tuple[torch.Tensor, int]]:
    """One step as a function of a batch and the share of the peak rates; it gives the loss and its label count."""
    model.train()
    mean_loss = torch.compile(head_loss, dynamic=True) if plan.compiles else head_loss
    if plan.compiles:
        for layer in model.model.layers:  # all layers are one piece of code, which is compiled once
            layer.compile(dynamic=None if plan.device == "cuda" else False)

    def learn(batch: Batch, factor: float) -> tuple[torch.Tensor, int]:
        _set_rates(optimizers, plan.peak_rate * factor)
        model.set_attn_implementation(_attention(plan, batch))
        with torch.autocast(plan.device, dtype=torch.bfloat16, enabled=plan.is_bfloat16):
            loss, labels = batch_loss(model, batch, mean_loss)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach(), labels

    return learn


def _attention(plan: Plan, batch: Batch) -> str:
    if plan.device == "cpu":
        return "eager" if batch.ids.shape[1] <= _LONGEST_EAGER else "sdpa"
    return PACKED if len(batch.ids) == 1 else "sdpa"


def _set_rates(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


class _Window:
    """Sums up the steps between two reports; `peak` is in floating-point operations per second."""

    def __init__(self, state: RunState, peak: float) -> None:
        self._state, self._peak = state, peak
        self._loss: torch.Tensor | float = 0.0
        self._labels, self._flops = 0, 0.0
        self._tokens, self._seconds = state.tokens, state.seconds

    def add(self, loss: torch.Tensor, labels: int, flops: float) -> None:
        self._loss = self._loss + loss * labels  # stays on the device, which need not be waited for
        self._labels += labels
        self._flops += flops

    def close(self, share: float) -> dict[str, float | int | str]:
        """One line of the loss curve; the next window begins here."""
        state = self._state
        seconds = max(1e-9, state.seconds - self._seconds)
        entry: dict[str, float | int | str] = {
            "step": state.step,
            "stage": stage_at(share),
            "share": round(share, 4),
            "loss": round(float(self._loss) / max(1, self._labels), 4),
            "tokens": state.tokens,
            "seconds": round(state.seconds, 1),
            "tokens_per_s": round((state.tokens - self._tokens) / seconds),
            "share_of_peak": round(self._flops / seconds / self._peak, 3),
        }
        self._open()
        return entry

    def _open(self) -> None:
        self._loss, self._labels, self._flops = 0.0, 0, 0.0
        self._tokens, self._seconds = self._state.tokens, self._state.seconds
