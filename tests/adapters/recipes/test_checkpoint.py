"""What a checkpoint brings back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from adapters.recipes.base.checkpoint import OtherRun, RunState, load_checkpoint, save_checkpoint


@pytest.mark.parametrize("begun_fused", [False, True])
@pytest.mark.parametrize("resumed_fused", [False, True])
def test_adamw_goes_on_whether_it_is_fused_or_not(tmp_path: Path, begun_fused: bool, resumed_fused: bool) -> None:
    """It is on a GPU, where it keeps its count of steps on the device."""
    straight, broken, resumed = (_Weights() for _ in range(3))
    _learn(straight, _adam(straight, begun_fused), range(6))
    begun = _adam(broken, begun_fused)
    _learn(broken, begun, range(3))
    save_checkpoint(tmp_path / "run", RunState({"seed": 1}, step=3), broken, [begun])
    optimizer = _adam(resumed, resumed_fused)
    assert load_checkpoint(tmp_path / "run", resumed, [optimizer], {"seed": 1}) == RunState({"seed": 1}, step=3)
    _learn(resumed, optimizer, range(3, 6))
    assert torch.allclose(resumed.weights, straight.weights, atol=1e-6)


def test_a_run_is_not_taken_for_another(tmp_path: Path) -> None:
    asked = {"seed": 1, "steps": 5}
    folder = tmp_path / "run"
    save_checkpoint(folder, RunState(asked), _Weights(), [])
    with pytest.raises(OtherRun, match=r"holds another run: seed 1, now 2; hidden None, now 8; give its command again"):
        load_checkpoint(folder, _Weights(), [], {"seed": 2, "steps": 5, "hidden": 8})
    state = json.loads((folder / "state.json").read_text("utf-8"))
    del state["asked"]  # as runs were saved before
    (folder / "state.json").write_text(json.dumps(state), "utf-8")
    with pytest.raises(OtherRun, match="does not say what was asked of it"):
        load_checkpoint(folder, _Weights(), [], asked)


class _Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.linspace(-1, 1, 12).view(4, 3))


def _adam(model: _Weights, is_fused: bool) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=0.01, fused=is_fused)


def _learn(model: _Weights, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        model.weights.grad = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        optimizer.step()
