"""Muon over stacked matrices does what torch's does to each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from adapters.recipes.base.batched_muon import BatchedMuon, orthogonal
from adapters.recipes.base.checkpoint import RunState, load_checkpoint, save_checkpoint

SHAPES = [(24, 24), (40, 24), (24, 40), (24, 24), (40, 24), (8, 24)]


class Matrices(nn.Module):
    """Matrices of several shapes, the same each time."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.matrices = nn.ParameterList(torch.randn(shape, generator=generator) for shape in SHAPES)

    def muon(self, dtype: torch.dtype = torch.float32) -> BatchedMuon:
        return BatchedMuon(self.parameters(), lr=0.02, weight_decay=0.1, dtype=dtype)


def learn(model: Matrices, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Give each step gradients and a rate of its own."""
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for matrix in model.parameters():
            matrix.grad = torch.randn(matrix.shape, generator=generator)
        optimizer.param_groups[0]["lr"] = 0.02 / (1 + step)
        optimizer.step()


@pytest.mark.parametrize(("dtype", "share"), [(torch.bfloat16, 0.01), (torch.float32, 0.05)])
def test_matrices_move_as_by_torchs_muon(dtype: torch.dtype, share: float) -> None:
    """Up to this share of the way: torch's Muon rounds to bfloat16."""
    mine, theirs, start = Matrices(), Matrices(), Matrices()
    muon = torch.optim.Muon(theirs.parameters(), lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    learn(mine, mine.muon(dtype), range(6))
    learn(theirs, muon, range(6))
    for moved, wanted, before in zip(mine.parameters(), theirs.parameters(), start.parameters(), strict=True):
        assert (moved - wanted).norm() <= share * (wanted - before).norm()


def test_a_matrix_without_a_gradient_stays_where_it_is() -> None:
    model = Matrices()
    optimizer = model.muon()
    before = model.matrices[0].detach().clone()
    learn(model, optimizer, range(1))
    assert not torch.equal(model.matrices[0], before)
    before = model.matrices[0].detach().clone()
    model.zero_grad()
    model.matrices[1].grad = torch.ones_like(model.matrices[1])
    optimizer.step()
    assert torch.equal(model.matrices[0], before)


def test_singular_values_end_near_one_whatever_the_size_of_a_matrix() -> None:
    matrices = (
        torch.randn(3, 40, 24, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-3, 1, 1e3])[:, None, None]
    )
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert 0.5 < values.min() < values.max() < 1.3
    assert torch.equal(orthogonal(torch.zeros(1, 2, 2)), torch.zeros(1, 2, 2))


@pytest.mark.parametrize("is_begun_with_torchs", [False, True])
def test_a_run_resumed_from_a_checkpoint_ends_where_a_straight_one_does(
    tmp_path: Path, is_begun_with_torchs: bool
) -> None:
    straight, broken, resumed = Matrices(), Matrices(), Matrices()
    begun: torch.optim.Optimizer = broken.muon()
    if is_begun_with_torchs:
        begun = torch.optim.Muon(broken.parameters(), lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    learn(straight, straight.muon(), range(6))
    learn(broken, begun, range(3))
    save_checkpoint(tmp_path / "run", RunState({}, step=3), broken, [begun])
    optimizer = resumed.muon()
    assert load_checkpoint(tmp_path / "run", resumed, [optimizer], {}) == RunState({}, step=3)
    learn(resumed, optimizer, range(3, 6))
    for weight, wanted in zip(resumed.parameters(), straight.parameters(), strict=True):
        if is_begun_with_torchs:
            assert torch.allclose(weight, wanted, atol=0.01)
        else:
            assert torch.equal(weight, wanted)
