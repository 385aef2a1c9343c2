"""Waits until files are on the disk, where they survive that the power fails."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Wait for every file below a folder, and for the folder itself."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Wait for a file's or folder's content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
