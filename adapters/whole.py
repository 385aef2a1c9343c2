"""Whether a file of a checkpoint was written to its end, told without torch and without reading its weights."""

import json
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

TORCH = (".pt", ".pth", ".bin")
"""What torch saves, as ZIP archives, whose directory comes last."""


def is_whole(file: Path) -> bool:
    """Return False for a file that is cut off, empty or cannot be read; True for kinds of which nothing is known."""
    try:
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".safetensors":
            with safe_open(file, framework="np"):
                pass
        elif file.suffix in TORCH:
            return zipfile.is_zipfile(file)
    except (OSError, ValueError, SafetensorError):
        return False
    return True
