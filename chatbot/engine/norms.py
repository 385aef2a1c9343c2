"""RMSNorm in four small operations where transformers takes eight: a fifth of a decode step on a CPU.

Root mean square normalisation by Zhang & Sennrich 2019. Only float32 modules that are found to compute exactly that are
replaced; Gemma's, for one, which add one to the weight, stay as they are.
"""

import torch
from torch import nn

PROBE_TOLERANCE = 1e-5


class FastNorm(nn.Module):
    """`x / sqrt(mean(x²) + epsilon) * weight` over the last dimension."""

    def __init__(self, weight: torch.Tensor, epsilon: float) -> None:
        super().__init__()
        size = weight.shape[0]
        self.weight = nn.Parameter(weight.detach() * size**0.5, requires_grad=False)
        self.epsilon = epsilon * size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x normalised, any shape ending in the weight's size."""
        length: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * length.square_().add_(self.epsilon).rsqrt_() * self.weight


def replace_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Put FastNorm in the place of every float32 CPU RMSNorm and return the originals by name."""
    originals: dict[str, nn.Module] = {}
    for name, module in list(model.named_modules()):
        fast = _fast_twin(module)
        if fast is not None:
            model.set_submodule(name, fast)
            originals[name] = module
    return originals


def _fast_twin(module: nn.Module) -> FastNorm | None:
    """Return a FastNorm that computes what the module computes, or None if it is no such module."""
    weight, epsilon = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() != 1 or not isinstance(epsilon, float):
        return None
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return None
    fast = FastNorm(weight, epsilon)
    x = torch.linspace(-2, 3, 3 * weight.shape[0]).view(3, -1)
    is_same = torch.allclose(fast(x), module(x), rtol=PROBE_TOLERANCE, atol=PROBE_TOLERANCE)
    return fast if is_same else None
