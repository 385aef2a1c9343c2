"""Muon for many matrices of few shapes: those of one shape are stacked and orthogonalised at once.

The same update as `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, which launches about 25 kernels for each matrix
and is bound by that on a fast GPU. Momenta are kept for each matrix as torch keeps them, so checkpoints of either fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

_ITERATIONS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Keller Jordan's polynomial a x + b x^3 + c x^5: it brings singular values near 1 quickly, and only near."""
_SMALLEST_NORM = 1e-7
_RMS_OF_ADAMW = 0.2
"""Root mean square of a usual AdamW update, which Muon's is scaled to (Muon is Scalable for LLM Training, 2.2)."""


class BatchedMuon(torch.optim.Optimizer):
    """Momentum, made orthogonal, for weight matrices `[out, in]` and nothing else."""

    def __init__(
        self,
        matrices: Iterable[torch.Tensor],
        *,
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        """Iterate in `dtype`: torch's bfloat16, or float32 where a processor has no units for that."""
        super().__init__(list(matrices), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nothing here evaluates a loss twice
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            for matrices in _by_shape(matrix for matrix in group["params"] if matrix.grad is not None):
                updates = self._updates(matrices, group["momentum"])
                rate = group["lr"] * _RMS_OF_ADAMW * math.sqrt(max(matrices[0].shape))
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(matrices, list(updates.unbind()), alpha=-rate)

    def _updates(self, matrices: list[torch.Tensor], momentum: float) -> torch.Tensor:
        """Take the gradients of matrices of one shape into their momenta, and return the directions to go away from."""
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        momenta = [self._momentum(matrix) for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, momenta, momentum)  # Nesterov's: where the next step will have led
        return orthogonal(torch.stack(ahead).to(self._dtype)).to(matrices[0].dtype).contiguous()

    def _momentum(self, matrix: torch.Tensor) -> torch.Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        kept: torch.Tensor = state["momentum_buffer"]
        return kept


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Return `[count, rows, columns]` with the singular vectors of these matrices and singular values near 1."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=_SMALLEST_NORM)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


def _by_shape(matrices: Iterable[torch.Tensor]) -> list[list[torch.Tensor]]:
    groups: dict[torch.Size, list[torch.Tensor]] = {}
    for matrix in matrices:
        groups.setdefault(matrix.shape, []).append(matrix)
    return list(groups.values())
