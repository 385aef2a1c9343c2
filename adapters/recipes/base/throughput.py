"""How fast training goes, as a share of what this machine's matrix multiplication reaches in the same precision."""

from __future__ import annotations

import time

import torch
from transformers import LlamaForCausalLM

_SIZE = {"cpu": 1024, "cuda": 8192}
_ROUNDS = 10


def flops_per_token(model: LlamaForCausalLM, length: float) -> float:
    """Floating-point operations to train on one token of documents of `length` (PaLM, appendix B: 6 N + 12 L H Q T)."""
    attention = 12 * model.config.num_hidden_layers * model.config.hidden_size * length
    return float(6 * sum(parameter.numel() for parameter in model.parameters()) + attention)


def peak_flops(device: torch.device, *, is_bfloat16: bool) -> float:
    """Operations per second of a large square matrix product here: the best of a few, measured now."""
    size = _SIZE.get(device.type, _SIZE["cuda"])
    left = torch.randn(size, size, device=device, dtype=torch.bfloat16 if is_bfloat16 else torch.float32)
    return 2 * size**3 / min(_seconds(left, device) for _ in range(_ROUNDS))


def _seconds(matrix: torch.Tensor, device: torch.device) -> float:
    started = time.perf_counter()
    matrix @ matrix
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
