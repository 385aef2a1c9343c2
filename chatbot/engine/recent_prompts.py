"""The prompts that were rendered last: a turn counts its own, and the excerpts it recalls, and has it computed.

Rendering takes as long as the conversation is; without this a turn at 30,000 tokens would wait for it three times.
"""

import threading
from collections.abc import Callable, Sequence

from chatbot.engine.base import ChatMessage

Render = Callable[[Sequence[ChatMessage]], list[int]]

MOST = 64
MOST_TOKENS = 1 << 20
"""Of all prompts together: some 40 MB."""


class RecentPrompts:
    """Token ids of at most `MOST` prompts of `MOST_TOKENS` together, by their messages. For any thread."""

    def __init__(self, longest: int) -> None:
        """Keep no prompt of more than `longest` tokens: none such is ever computed."""
        self._longest = longest
        self._tokens = 0
        self._clears = 0
        self._ids: dict[tuple[ChatMessage, ...], list[int]] = {}
        self._lock = threading.Lock()

    def ids(self, messages: Sequence[ChatMessage], render: Render) -> list[int]:
        """Return the prompt of these messages, rendered if it is not among the last ones. Raises what `render` does."""
        key = tuple(messages)
        with self._lock:
            found, clears = self._ids.get(key), self._clears
        if found is None:
            found = render(messages)
            self._keep(key, found, clears)
        return list(found)

    def clear(self) -> None:
        """Forget what was said, and do not keep what is being rendered."""
        with self._lock:
            self._ids.clear()
            self._tokens = 0
            self._clears += 1

    def _keep(self, key: tuple[ChatMessage, ...], ids: list[int], clears: int) -> None:
        with self._lock:
            if clears != self._clears or len(ids) > self._longest or key in self._ids:
                return
            self._ids[key] = ids
            self._tokens += len(ids)
            while len(self._ids) > MOST or self._tokens > MOST_TOKENS:
                self._tokens -= len(self._ids.pop(next(iter(self._ids))))
