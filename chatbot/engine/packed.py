"""Linears with weights packed as 16-bit floats, for CPUs: a third to a fifth of the time of float32 from four rows on.

Activations and sums stay float32, and only weights that 16 bits hold exactly are packed, as those of a bfloat16
checkpoint are. So packing changes the result by the order of a sum and nothing else.
The operator is private to torch's quantisation (FBGEMM, x86): it is probed, and without it nothing is packed.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

SUBNORMAL_STEP = 2.0**-25
"""Largest rounding of a weight below float16's normal range; harmless beside weights a thousand times as large."""
PROBE_TOLERANCE = 1e-5


class HalfWeight:
    """A weight `[out, in]` with its bias, packed as float16; a format of formats.py."""

    __slots__ = ("_packed",)

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x @ weight.T + bias` for x `[..., in]`."""
        y: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self._packed)
        return y

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> None:
        """Add `x @ weight.T + bias` to `residual`."""
        residual.add_(self(x))


class PackedLinear(nn.Module):
    """HalfWeight as a module; in and out are float32."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.packed = HalfWeight(plain.weight.detach(), None if plain.bias is None else plain.bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x @ weight.T + bias` for x `[..., in_features]`."""
        return self.packed(x)


def pack_linears(model: nn.Module) -> dict[str, nn.Module]:
    """Replace the float32 CPU linears that can be packed without loss and return the originals by name."""
    if not is_available():
        return {}
    linears = {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear and is_exact_in_16_bits(module.weight)
    }
    for name, module in linears.items():
        model.set_submodule(name, PackedLinear(module))
    return dict(linears)


def is_exact_in_16_bits(weight: torch.Tensor) -> bool:
    """Whether a float32 CPU tensor loses nothing as float16, but for the rounding of vanishing values."""
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return False
    return bool(((weight - weight.half().float()).abs() <= SUBNORMAL_STEP).all())


def is_available() -> bool:
    """Whether the operator exists here and computes what a linear computes."""
    plain = nn.Linear(48, 64).requires_grad_(False)
    plain.weight.copy_(plain.weight.bfloat16())
    x = torch.linspace(-1, 1, 2 * 48).view(2, 48)
    try:
        got = PackedLinear(plain)(x)
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool((got - F.linear(x, plain.weight, plain.bias)).abs().max() <= PROBE_TOLERANCE)
