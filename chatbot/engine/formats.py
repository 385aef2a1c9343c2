"""How a weight is kept for its products: as it is, or packed as 16-bit floats where that loses nothing.

A format is called with x `[..., in]` and gives `x @ weight.T + bias`; `add_to` adds that to a residual in place.
"""

from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812

from chatbot.engine.packed import HalfWeight, is_available, is_exact_in_16_bits


class Weight(Protocol):
    def __call__(self, x: torch.Tensor) -> torch.Tensor: ...

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> None: ...


class PlainWeight:
    """A weight `[out, in]` with its bias, in its own kind of numbers, on any device."""

    __slots__ = ("_bias", "_columns", "_weight")

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight, self._bias = weight, bias
        self._columns = weight.T

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x @ weight.T + bias` for x `[..., in]`."""
        return F.linear(x, self._weight, self._bias)

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> None:
        """Add `x @ weight.T + bias` to `residual`, both `[rows, features]`."""
        residual.addmm_(x, self._columns)
        if self._bias is not None:
            residual.add_(self._bias)


def kept(weight: torch.Tensor, bias: torch.Tensor | None = None) -> Weight:
    """Return the weight in the format that is fastest here without changing what it computes."""
    if is_exact_in_16_bits(weight) and is_available():
        return HalfWeight(weight, bias)
    return PlainWeight(weight, bias)
