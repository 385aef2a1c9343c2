"""The thread that writes KV to files, so that the engine never waits for the disk.

What is on its way can still be found here: KV is at no moment nowhere.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial

from chatbot.engine.kv_entry import KVEntry
from chatbot.engine.kv_files import KVFiles
from chatbot.engine.kv_host import HostKV


class KVWriter:
    """Writes entries one after the other. Any thread may call."""

    def __init__(self, files: KVFiles, limit_bytes: int) -> None:
        """Start the thread. While more than `limit_bytes` wait for a slow disk, the oldest are lost."""
        self._files = files
        self._waiting = HostKV(limit_bytes)
        self._last: list[KVEntry] = []
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name="chatbot-kv-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> list[KVEntry]:
        """What is not written yet."""
        with self._changed:
            return list(self._waiting)

    def put(self, entry: KVEntry) -> None:
        """Let an entry be written soon."""
        with self._changed:
            self._waiting.put(entry)
            self._changed.notify_all()

    def forget(self, owner: str) -> None:
        """Drop what waits of a conversation and remove its files."""
        with self._changed:
            self._waiting.forget(owner)
            self._changed.notify_all()
        self._files.forget(owner)

    def close(self, entries: Sequence[KVEntry], timeout_s: float) -> None:
        """Write what waits and these entries, the last used first, for about so long; then end the thread."""
        with self._changed:
            latest = sorted([*self._waiting, *entries], key=lambda entry: entry.used_at, reverse=True)
            self._waiting = HostKV(self._files.limit_bytes)
            for entry in reversed(latest):
                self._waiting.put(entry)
            kept = set(self._waiting)
            self._last = [entry for entry in latest if entry in kept]
            self._deadline = time.monotonic() + timeout_s
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            self._files.write(entry, partial(self._is_waiting, entry))
            with self._changed:
                self._waiting.remove(entry)
                self._changed.notify_all()

    def _next(self) -> KVEntry | None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) or self._deadline is not None)
            if self._deadline is None:
                return next(iter(self._waiting))
            if not self._last or time.monotonic() > self._deadline:
                return None
            return self._last.pop(0)

    def _is_waiting(self, entry: KVEntry) -> bool:
        with self._changed:
            return self._waiting.get(entry.key) is entry
