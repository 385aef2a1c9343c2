"""Linears whose products take bfloat16 from so many rows on: for CPUs with bfloat16 matrix units (AMX, AVX512-BF16).

A prompt, or many conversations at once, is bound by arithmetic, which such units do several times faster; one token is
bound by reading the weights, where 16 bits are 16 bits. Activations are rounded to 8 bits of mantissa for the large
products alone: norms, attention, sums and what is kept in the KV stay float32. It is what torch calls "medium" in
`set_float32_matmul_precision`; a reply may differ from float32's as soon as two tokens are nearly equally likely.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812

Product = Callable[[torch.Tensor], torch.Tensor]
ROWS = (16, 32, 64, 128, 256)
"""Batch sizes from which on bfloat16 may be worth it."""
MIN_GAIN = 1.15
REPEATS = 5


class LargeBatchWeight:
    """A weight `[out, in]` with its bias, float32 in and out; a format of formats.py."""

    __slots__ = ("_bias", "_many", "few", "first")

    def __init__(self, few: Product, weight: torch.Tensor, bias: torch.Tensor | None, first: int) -> None:
        """Compute batches of at least `first` rows in bfloat16 and smaller ones by `few`."""
        self.few = few
        """The format for smaller batches."""
        self.first = first
        """The smallest batch that is computed in bfloat16."""
        self._many = weight.bfloat16()
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x @ weight.T + bias` for x `[..., in]`."""
        if x.shape[:-1].numel() < self.first:
            return self.few(x)
        y = in_bfloat16(x, self._many)
        return y if self._bias is None else y.add_(self._bias)

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> None:
        """Add `x @ weight.T + bias` to `residual`."""
        residual.add_(self(x))


def in_bfloat16(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return `x @ weight.T` in float32, x `[..., in]` rounded to the kind of numbers of `weight` `[out, in]`."""
    return F.linear(x.bfloat16(), weight).float()


class Threshold:
    """Measures for each shape of weight from how many rows on bfloat16 is faster here."""

    def __init__(self, rows: tuple[int, ...] = ROWS) -> None:
        self._rows = rows
        self._found: dict[torch.Size, int | None] = {}

    def first(self, few: Product, weight: torch.Tensor) -> int | None:
        """Return the smallest batch that bfloat16 computes faster than `few` by MIN_GAIN; None if none is."""
        if weight.shape not in self._found:
            many = weight.bfloat16()
            faster = [rows for rows in self._rows if _gain(few, many, rows) >= MIN_GAIN]
            self._found[weight.shape] = min(faster, default=None)
        return self._found[weight.shape]


def _gain(few: Product, many: torch.Tensor, rows: int) -> float:
    x = torch.linspace(-1, 1, rows * many.shape[1]).view(rows, -1)
    return _seconds(lambda: few(x)) / _seconds(lambda: in_bfloat16(x, many))


def _seconds(compute: Callable[[], torch.Tensor]) -> float:
    """Return the shortest of several times: what the machine can do while nothing disturbs it."""
    compute()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        compute()
        times.append(time.perf_counter() - started)
    return max(min(times), 1e-9)
