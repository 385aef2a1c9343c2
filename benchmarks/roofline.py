"""What the machine itself allows, measured in the same run: memory read per second and products per second."""

import time
from collections.abc import Callable

import torch

from adapters.recipes.base.throughput import peak_flops

READ_BYTES = {"cpu": 2**29, "cuda": 2**31}
ROUNDS = 5


def limits(threads: int, device: torch.device) -> dict[str, float]:
    """Return read bandwidth in GB/s and matrix products in GFLOP/s, the best of a few."""
    torch.set_num_threads(threads)
    return {
        "read_gb_per_s": round(_bytes_per_s(device) / 1e9, 1),
        "float32_gflop_per_s": _gflop_per_s(device, is_bfloat16=False),
        "bfloat16_gflop_per_s": _gflop_per_s(device, is_bfloat16=True),
    }


def one_stream_tokens_per_s(weight_bytes: int, read_gb_per_s: float) -> float:
    """Return the most one conversation can get if every token reads every weight from memory once.

    A model that fits a processor's cache may be faster.
    """
    return read_gb_per_s * 1e9 / weight_bytes


def _bytes_per_s(device: torch.device) -> float:
    """Return how fast memory is read; on a GPU, how fast it is copied, reading and writing taken together."""
    block = torch.ones(READ_BYTES[device.type] // 4, device=device)
    if device.type == "cpu":
        return block.nbytes / _best(block.sum, device)
    other = torch.empty_like(block)
    return 2 * block.nbytes / _best(lambda: other.copy_(block), device)


def _gflop_per_s(device: torch.device, *, is_bfloat16: bool) -> float:
    return round(peak_flops(device, is_bfloat16=is_bfloat16) / 1e9, 1)


def _best(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    return min(_seconds(work, device) for _ in range(ROUNDS))


def _seconds(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
