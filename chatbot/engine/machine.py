"""What this machine has to give: cores and memory, on Linux and macOS alike, and no more than a container may have."""

import os
from pathlib import Path

import torch

from chatbot.engine.cgroup import Cgroup

MEMINFO = Path("/proc/meminfo")


def cores() -> int:
    """Return how many cores this process may use, at least one."""
    # Affinity is known on Linux only.
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(count, Cgroup.own().cores())))


def avoid_planned_attention(device: torch.device) -> None:
    """Keep torch from attention kernels that are planned anew for every shape: no two steps have the same.

    cuDNN comes first on Hopper and takes 20 to 400 ms to plan (modelscope/FunASR#3704); without it flash attention is.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def free_bytes(device: torch.device) -> int:
    """Return how much memory is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if MEMINFO.exists():
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text(encoding="ascii").splitlines())
        available = int(lines["MemAvailable"].split()[0]) * 1024
        return int(min(available, Cgroup.own().free_bytes()))
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # without a better word: half of it all
