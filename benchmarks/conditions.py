"""What a figure depends on besides the code: written into every result."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from chatbot.engine.machine import cores

PACKAGES = ("torch", "transformers", "peft", "llama-cpp-python")
"""What is measured, as far as it is installed."""


def conditions(threads: int, device: torch.device) -> dict[str, Any]:
    """Return machine, versions and load as plain JSON data."""
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "threads": threads,
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "python": platform.python_version(),
        **_versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
