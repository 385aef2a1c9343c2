"""Which errors mean that memory did not suffice; each kind of device has its own way to say so."""

import errno

import torch

_PHRASES = (
    "not enough memory",
    "DefaultCPUAllocator",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What torch says in a plain RuntimeError: its CPU allocator, some CUDA calls, and cuBLAS for its workspace."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell lack of memory from every other error.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    True
    >>> is_out_of_memory(RuntimeError("device lost"))
    False
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):  # of a mapping
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)
