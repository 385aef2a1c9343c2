"""Whose a file of KV is: told by its name, so that what a deleted conversation left is removed without any model."""

import hashlib
import logging
from pathlib import Path

log = logging.getLogger(__name__)


def owner_of(session: str) -> str:
    """Return the name under which a session's KV is kept: a hash, so that files do not tell conversation ids."""
    return hashlib.sha256(session.encode()).hexdigest()[:32]


def remove_files(folder: Path, owner: str) -> None:
    """Remove all files of a conversation, whatever their model."""
    for path in folder.glob(f"{owner}-*"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.error("%s: of a deleted conversation, but cannot be removed; remove it: %s", path, error)
