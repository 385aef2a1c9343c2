"""How a weight is kept for its products: as it is, in panels for code compiled on this machine, packed as 16-bit floats
where that loses nothing, or, where it is asked for, also as bfloat16 for large batches.

A format is called with x `[..., in]` and gives `x @ weight.T + bias`; `add_to` adds that to a residual in place.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import torch
import torch.nn.functional as F  # noqa: N812

from chatbot.engine.compiled.panels import WAYS, PanelWeight, is_exact_in_bfloat16
from chatbot.engine.compiled.weight_memory import WeightMemory
from chatbot.engine.large_batch import LargeBatchWeight, Threshold
from chatbot.engine.packed import HalfWeight, is_available, is_exact_in_16_bits

MatmulPrecision = Literal["highest", "medium"]
"""As in `torch.set_float32_matmul_precision`: float32 throughout, or bfloat16 products where they are faster."""


class Weight(Protocol):
    def __call__(self, x: torch.Tensor) -> torch.Tensor: ...

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> None: ...


Keep = Callable[[torch.Tensor, torch.Tensor | None], Weight]
"""Takes a weight `[out, in]` with its bias into a format."""


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


def kept(
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    library: ctypes.CDLL | None = None,
    memory: WeightMemory | None = None,
) -> Weight:
    """Return the weight in the format that is fastest here without changing what it computes.

    Panels take 2 bytes for each weight of a bfloat16 checkpoint, and 4 for a weight that no 16 bits hold.
    """
    is_half = is_exact_in_16_bits(weight) and is_available()
    fits_panels = _is_plain(weight) and weight.shape[1] % WAYS == 0
    if library is not None and fits_panels and (is_exact_in_bfloat16(weight) or not is_half):
        return PanelWeight(weight, bias, library, memory)
    return HalfWeight(weight, bias) if is_half else PlainWeight(weight, bias)


def keeper(precision: MatmulPrecision, library: ctypes.CDLL | None = None) -> Keep:
    """Return what keeps the weights of one model; "medium" measures each shape of weight once."""
    keep_few = partial(kept, library=library, memory=WeightMemory())
    if precision == "highest":
        return keep_few
    threshold = Threshold()

    def keep(weight: torch.Tensor, bias: torch.Tensor | None) -> Weight:
        few = keep_few(weight, bias)
        first = threshold.first(few, weight) if _is_plain(weight) else None
        return few if first is None else LargeBatchWeight(few, weight, bias, first)

    return keep


def _is_plain(weight: torch.Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32
