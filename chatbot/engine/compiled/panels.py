"""Weights in panels, as forward.c reads them: the outputs that are computed together lie side by side for each input.

bfloat16 where that loses nothing, as for the checkpoints that are published today, else float32. Sums are float32, so
a product differs from torch's by the order of a sum.
"""

import ctypes

import torch
import torch.nn.functional as F  # noqa: N812

from chatbot.engine.compiled.structs import Product
from chatbot.engine.compiled.weight_memory import WeightMemory

WAYS = 4
"""What the number of inputs has to be a multiple of."""
HALVED = 2 * WAYS
"""What it is a multiple of where the last panel may be half as large."""


class PanelWeight:
    """A weight `[out, in]` with its bias; a format of formats.py."""

    __slots__ = ("_bias", "_library", "_panels", "product")

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, library: ctypes.CDLL, memory: WeightMemory | None = None
    ) -> None:
        """Take over a weight, into `memory` if it is given."""
        outputs, inputs = weight.shape
        is_wide = not is_exact_in_bfloat16(weight)
        self._library = library
        panels = _packed(weight, library.panel_outputs(), is_wide=is_wide)
        self._panels = memory.place(panels) if memory else panels.contiguous()
        self._bias = None if bias is None else bias.float().contiguous()
        bias_address = None if self._bias is None else self._bias.data_ptr()
        self.product = Product(self._panels.data_ptr(), bias_address, inputs, outputs, is_wide)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x @ weight.T + bias` for float32 x `[..., in]`."""
        x = x.contiguous()
        y = torch.empty(*x.shape[:-1], self.product.outputs, dtype=torch.float32)
        rows = x.numel() // self.product.inputs
        self._library.linear(ctypes.byref(self.product), x.data_ptr(), y.data_ptr(), rows, torch.get_num_threads())
        return y

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> None:
        """Add `x @ weight.T + bias` to `residual`."""
        residual.add_(self(x))


def is_exact_in_bfloat16(weight: torch.Tensor) -> bool:
    """Whether a tensor loses nothing as bfloat16."""
    return bool((weight.bfloat16() == weight).all())


def _packed(weight: torch.Tensor, outputs: int, *, is_wide: bool) -> torch.Tensor:
    """Return all panels of a weight, the last one half as large where that holds what is left."""
    half, inputs = outputs // 2, weight.shape[1]
    last = len(weight) % outputs
    if not 0 < last <= half or inputs % HALVED:
        return _panels(F.pad(weight, (0, 0, 0, -last % outputs)), outputs, is_wide=is_wide)
    whole, rest = weight[: len(weight) - last], F.pad(weight[len(weight) - last :], (0, 0, 0, half - last))
    halved = rest.view(half, 2, inputs // 2).transpose(0, 1).reshape(outputs, inputs // 2)
    return torch.cat([_panels(part, outputs, is_wide=is_wide).flatten() for part in (whole, halved)])


def _panels(weight: torch.Tensor, outputs: int, *, is_wide: bool) -> torch.Tensor:
    """Return `[panels, in, outputs]`; where narrow, the halves of a panel interleaved.

    So one 32-bit word holds the weights of the outputs i and `outputs / 2 + i`.
    """
    rows = weight.view(len(weight) // outputs, outputs, weight.shape[1])
    if is_wide:
        return rows.float().transpose(1, 2)
    halves = rows.bfloat16().view(len(rows), 2, outputs // 2, rows.shape[2])
    return halves.permute(0, 3, 2, 1)
