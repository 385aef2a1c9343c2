"""The prompts that were rendered last: a turn counts its prompt once or twice, and then has it computed.

Rendering takes as long as the conversation is; without this a turn at 30,000 tokens would wait for it three times.
"""

import threading
from collections.abc import Callable, Sequence

from chatbot.engine.base import ChatMessage

Render = Callable[[Sequence[ChatMessage]], list[int]]

MOST = 16


class RecentPrompts:
    """Token ids of at most `MOST` prompts, by their messages. For any thread."""

    def __init__(self) -> None:
        self._ids: dict[tuple[ChatMessage, ...], list[int]] = {}
        self._lock = threading.Lock()

    def ids(self, messages: Sequence[ChatMessage], render: Render) -> list[int]:
        """Return the prompt of these messages, rendered if it is not among the last ones. Raises what `render` does."""
        key = tuple(messages)
        with self._lock:
            found = self._ids.get(key)
        if found is None:
            found = render(messages)
            self._keep(key, found)
        return list(found)

    def clear(self) -> None:
        """Forget what was said."""
        with self._lock:
            self._ids.clear()

    def _keep(self, key: tuple[ChatMessage, ...], ids: list[int]) -> None:
        with self._lock:
            self._ids[key] = ids
            while len(self._ids) > MOST:
                del self._ids[next(iter(self._ids))]
