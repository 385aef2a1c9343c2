"""What the machine itself allows, measured in the same run: memory read per second and products per second."""

import time
from collections.abc import Callable

import torch

READ_BYTES = 512 * 2**20
PRODUCT_SIZE = 2048
ROUNDS = 5


def limits(threads: int, device: torch.device) -> dict[str, float]:
    """Return read bandwidth in GB/s and matrix products in GFLOP/s, the best of a few."""
    torch.set_num_threads(threads)
    block = torch.ones(READ_BYTES // 4, device=device)
    square = torch.ones(PRODUCT_SIZE, PRODUCT_SIZE, device=device)
    narrow = square.bfloat16()
    return {
        "read_gb_per_s": round(block.nbytes / _best(block.sum, device) / 1e9, 1),
        "float32_gflop_per_s": round(2 * PRODUCT_SIZE**3 / _best(lambda: square @ square, device) / 1e9),
        "bfloat16_gflop_per_s": round(2 * PRODUCT_SIZE**3 / _best(lambda: narrow @ narrow, device) / 1e9),
    }


def one_stream_tokens_per_s(weight_bytes: int, read_gb_per_s: float) -> float:
    """Return the most one conversation can get if every token reads every weight from memory once.

    A model that fits a processor's cache may be faster.
    """
    return read_gb_per_s * 1e9 / weight_bytes


def _best(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    return min(_seconds(work, device) for _ in range(ROUNDS))


def _seconds(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
