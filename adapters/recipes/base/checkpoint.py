"""Saves and restores a run as safetensors and JSON; nothing is pickled, and a kill while saving loses nothing.

A checkpoint says what was asked of its run, so that none is taken for another.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


class OtherRun(Exception):
    """What is saved is not of the run that is asked for."""


@dataclass(slots=True)
class RunState:
    """Where a run stands; `log` holds one entry for each reported step."""

    asked: Mapping[str, Any]
    """What decides its weights, by name, as JSON has it."""
    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    labels: int = 0
    log: list[dict[str, float | int | str]] = field(default_factory=list)

    def count(self, tokens: int, labels: int, seconds: float) -> None:
        """One step more; `seconds` is the training time up to now."""
        self.step += 1
        self.tokens += tokens
        self.labels += labels
        self.seconds = seconds


def save_checkpoint(
    folder: Path, state: RunState, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]
) -> None:
    """Write the checkpoint beside the old one, then swap them."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    weights = {name: tensor.detach().contiguous() for name, tensor in model.named_parameters()}
    save_file(weights, fresh / "weights.safetensors")
    for number, optimizer in enumerate(optimizers):
        save_file(_flat(optimizer), fresh / f"optimizer-{number}.safetensors")
    (fresh / "state.json").write_text(json.dumps(asdict(state)), "utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer], asked: Mapping[str, Any]
) -> RunState:
    """Put a saved run back in place and tell where it stood: at its start where nothing is saved.

    Raises OtherRun, which says what differs, where something else was asked of the saved one.
    """
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        os.replace(old, folder)
    if not (folder / "state.json").is_file():
        return RunState(asked)
    state = json.loads((folder / "state.json").read_text("utf-8"))
    _check_same(folder, state.get("asked"), asked)
    weights = load_file(folder / "weights.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    for number, optimizer in enumerate(optimizers):
        _restore(optimizer, load_file(folder / f"optimizer-{number}.safetensors"))
    return RunState(**state)


def _check_same(folder: Path, before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    advice = "give its command again, or another --out or --run"
    if before is None:
        raise OtherRun(f"{folder}: holds a run that does not say what was asked of it, so it cannot go on; {advice}")
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        told = "; ".join(f"{name} {before.get(name)}, now {now.get(name)}" for name in names)
        raise OtherRun(f"{folder}: holds another run: {told}; {advice}")


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{index}/{key}": torch.as_tensor(value).clone().contiguous()
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
