"""KV of conversations in host memory, within a limit of bytes; the conversation used longest ago is given up first.

Pure bookkeeping without a lock: whoever owns it guards it.
"""

from collections.abc import Iterator

from chatbot.engine.kv_entry import Key, KVEntry


class HostKV:
    """Entries by conversation and adapter. Invariant: `size_bytes <= limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._entries: dict[Key, KVEntry] = {}
        self._used_at: dict[str, float] = {}
        """Last use of each owner, whatever the adapter."""

    def __iter__(self) -> Iterator[KVEntry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> KVEntry | None:
        return self._entries.get(key)

    def put(self, entry: KVEntry) -> list[KVEntry]:
        """Keep an entry instead of an earlier one of its key; return what has to go for it, oldest use first.

        An entry that is larger than the limit is not kept: it is all that is returned.
        """
        if entry.size_bytes > self.limit_bytes:
            return [entry]
        if (earlier := self._entries.get(entry.key)) is not None:
            self.remove(earlier)
        self._entries[entry.key] = entry
        self.size_bytes += entry.size_bytes
        self._used_at[entry.owner] = max(entry.used_at, self._used_at.get(entry.owner, 0.0))
        return self._shrink(entry)

    def touch(self, owner: str, now: float) -> None:
        """Note that a conversation was used, be it under an adapter whose KV is elsewhere."""
        if owner in self._used_at:
            self._used_at[owner] = max(now, self._used_at[owner])

    def remove(self, entry: KVEntry) -> bool:
        """Drop this very entry; return whether it was there."""
        if self._entries.get(entry.key) is not entry:
            return False
        del self._entries[entry.key]
        self.size_bytes -= entry.size_bytes
        if not any(other.owner == entry.owner for other in self):
            del self._used_at[entry.owner]
        return True

    def forget(self, owner: str) -> None:
        """Drop all entries of a conversation."""
        for entry in [entry for entry in self if entry.owner == owner]:
            self.remove(entry)

    def _shrink(self, newest: KVEntry) -> list[KVEntry]:
        fallen = []
        while self.size_bytes > self.limit_bytes:
            others = [entry for entry in self if entry is not newest]
            oldest = min(others, key=lambda entry: (self._used_at[entry.owner], entry.used_at))
            self.remove(oldest)
            fallen.append(oldest)
        return fallen
