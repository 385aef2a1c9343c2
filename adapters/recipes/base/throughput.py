"""How fast training goes, as a share of what this machine's matrix multiplication reaches in the same precision."""

from __future__ import annotations

import time

import torch
from transformers import LlamaForCausalLM

_SMALLEST, _LARGEST = 256, {"cpu": 2048, "cuda": 8192}
_LONG_ENOUGH_S = 0.02
"""A product that takes longer need not be larger: two AVX2 cores reach 45 GFLOP/s in float32, 1.3 in bfloat16."""
_ROUNDS = 10


def flops_per_token(model: LlamaForCausalLM, length: float) -> float:
    """Floating-point operations to train on one token of documents of `length` (PaLM, appendix B: 6 N + 12 L H Q T)."""
    attention = 12 * model.config.num_hidden_layers * model.config.hidden_size * length
    return float(6 * sum(parameter.numel() for parameter in model.parameters()) + attention)


def is_bfloat16_faster(device: torch.device) -> bool:
    """Whether matrix products are faster in bfloat16 here: on a GPU, or a CPU with units for it (AMX, AVX512-BF16)."""
    return peak_flops(device, is_bfloat16=True) > peak_flops(device, is_bfloat16=False)


def peak_flops(device: torch.device, *, is_bfloat16: bool) -> float:
    """Operations per second of a square matrix product here, of a size that takes long enough: the best of a few."""
    size, largest = _SMALLEST, _LARGEST.get(device.type, _LARGEST["cuda"])
    while (seconds := _product_s(size, device, is_bfloat16)) < _LONG_ENOUGH_S and size < largest:
        size *= 2
    return 2 * size**3 / seconds


def _product_s(size: int, device: torch.device, is_bfloat16: bool) -> float:
    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16 if is_bfloat16 else torch.float32)
    return min(_seconds(matrix, device) for _ in range(_ROUNDS))


def _seconds(matrix: torch.Tensor, device: torch.device) -> float:
    started = time.perf_counter()
    matrix @ matrix
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
