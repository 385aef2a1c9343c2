"""Keeps freed memory in the process, so that a step does not ask the system for every large tensor's pages again.

glibc gives large blocks back at once; on two cores a fifth of a training step then goes to page faults.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the life of the process; False where the C library has no mallopt."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _MOST))
