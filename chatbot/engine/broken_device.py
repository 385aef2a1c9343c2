"""Which errors mean that a GPU computes nothing more for this process.

CUDA tells them again at every later call, whatever it is: trying again is of no use, nor is another thread. Other
errors of CUDA concern one call.
"""

_PHRASES = (
    "illegal memory access",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "illegal instruction",
    "hardware stack error",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "launch timed out and was terminated",
    "uncorrectable ECC error",
    "uncorrectable NVLink error",
    "context is destroyed",
)
"""What CUDA calls those errors after which, by its manual, the process must be ended; torch repeats it."""


def is_device_broken(error: BaseException) -> bool:
    """Tell an error that all later calls will repeat from one of a single call.

    >>> is_device_broken(RuntimeError("CUDA error: device-side assert triggered"))
    True
    >>> is_device_broken(RuntimeError("CUDA error: invalid configuration argument"))
    False
    """
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


def told_briefly(error: BaseException) -> str:
    """Return what the error says, without torch's hints for debugging below it."""
    return str(error).partition("\n")[0]
