"""Durable conversations in SQLite. Knows nothing of models or sockets."""

from storage.conversations import UNCHANGED, Unchanged
from storage.store import Store

__all__ = ["UNCHANGED", "Store", "Unchanged"]
