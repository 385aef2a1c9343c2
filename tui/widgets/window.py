"""Which messages of a chat are mounted: a stretch that moves with the reader, for each costs time at every key."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

NEWEST = 40
"""So many are mounted while the reader is at the end."""

STEP = 20
LIMIT = 120


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of messages, by the keys of its ends; it moves by `STEP`, and never grows beyond `LIMIT`."""

    first: str | None = None
    """None is as far before the last as `NEWEST` says."""
    last: str | None = None
    """None is the newest, whatever comes."""

    def span(self, keys: Sequence[str]) -> tuple[int, int]:
        """Return where it begins and ends among the keys of all messages, also where one that it went by is gone."""
        start = keys.index(self.first) if self.first in keys else None
        if self.last in keys:
            end = keys.index(self.last) + 1
        else:
            end = len(keys) if self.last is None or start is None else min(len(keys), start + LIMIT)
        return (start, end) if start is not None and start < end else (max(0, end - NEWEST), end)

    def earlier(self, keys: Sequence[str]) -> "Window":
        """Return it moved up, without what is too far below then."""
        return self._with_start(keys, self.span(keys)[0] - STEP)

    def later(self, keys: Sequence[str]) -> "Window":
        """Return it moved down; what is above stays where it is read from, up to the limit."""
        return self._with_end(keys, self.span(keys)[1] + STEP)

    def around(self, keys: Sequence[str], key: str) -> "Window":
        """Return it moved so that it holds a message."""
        place, (start, end) = keys.index(key), self.span(keys)
        if place < start:
            return self._with_start(keys, place - STEP)
        return self if place < end else self._with_end(keys, place + STEP)

    def _with_start(self, keys: Sequence[str], start: int) -> "Window":
        start = max(0, start)
        return between(keys, start, min(self.span(keys)[1], start + LIMIT))

    def _with_end(self, keys: Sequence[str], end: int) -> "Window":
        end = min(len(keys), end)
        start = max(self.span(keys)[0], end - LIMIT)
        return Window(keys[start], keys[end - 1])

    def opened(self, keys: Sequence[str]) -> "Window":
        """Return it without a last one, if that is the newest: what comes then is within it."""
        return replace(self, last=None) if keys and self.last == keys[-1] else self


def newest(keys: Sequence[str]) -> Window:
    """Return the stretch at the end, as it stays when more comes."""
    return between(keys, max(0, len(keys) - NEWEST), len(keys))


def between(keys: Sequence[str], start: int, end: int) -> Window:
    """Return the stretch from one place to another."""
    return Window(keys[start] if keys else None, keys[end - 1] if end < len(keys) else None)
