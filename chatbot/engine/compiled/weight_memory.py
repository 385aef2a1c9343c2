"""Memory for weights, one after the other in pages of 2 MiB: with 4 KiB a processor waits for addresses as it reads.

Linux gives such pages to who asks for them (its usual setting, "madvise"); elsewhere this is plain memory.
"""

import contextlib
import mmap

import torch

PAGE_BYTES = 2 * 1024 * 1024
BLOCK_BYTES = 16 * PAGE_BYTES
LINE_BYTES = 64


class WeightMemory:
    """Grows by blocks; a tensor that was placed keeps its block."""

    def __init__(self) -> None:
        self._block = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a contiguous copy of a CPU tensor, behind what was placed before it."""
        first = -(-self._used // LINE_BYTES) * LINE_BYTES
        if first + tensor.nbytes > len(self._block):
            first, self._block = 0, _block(tensor.nbytes)
        self._used = first + tensor.nbytes
        placed = self._block[first : self._used].view(tensor.dtype).view(tensor.shape)
        return placed.copy_(tensor)


def _block(least_bytes: int) -> torch.Tensor:
    """Return bytes that begin where a page does, at least so many."""
    size = max(BLOCK_BYTES, -(-least_bytes // PAGE_BYTES) * PAGE_BYTES)
    memory = mmap.mmap(-1, size + PAGE_BYTES, access=mmap.ACCESS_COPY)  # private: shared memory gets small pages
    if advice := getattr(mmap, "MADV_HUGEPAGE", None):
        with contextlib.suppress(OSError):  # a kernel that has only small ones
            memory.madvise(advice)
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    return whole[-whole.data_ptr() % PAGE_BYTES :][:size]
