"""Tokens of the texts that were encoded last, as many as fit into a number of characters."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

Encode = Callable[[str], Sequence[int]]


class RecentTexts:
    """Encodes texts, and remembers what was used last. `forget` is for any thread, `ids` for one."""

    def __init__(self, encode: Encode, most_characters: int) -> None:
        """Remember texts of so many characters together; what is longer alone is encoded anew each time."""
        self._encode = encode
        self._most_characters = most_characters
        self._characters = 0
        self._clears = 0
        self._ids: OrderedDict[str, Sequence[int]] = OrderedDict()
        self._lock = threading.Lock()

    def ids(self, text: str) -> Sequence[int]:
        """Return the token ids of a text."""
        with self._lock:
            found, clears = self._ids.get(text), self._clears
            if found is not None:
                self._ids.move_to_end(text)
                return found
        found = self._encode(text)
        if len(text) <= self._most_characters:
            self._keep(text, found, clears)
        return found

    def forget(self) -> None:
        """Forget all texts, and do not keep what is being encoded."""
        with self._lock:
            self._ids.clear()
            self._characters = 0
            self._clears += 1

    def _keep(self, text: str, ids: Sequence[int], clears: int) -> None:
        with self._lock:
            if clears != self._clears:
                return
            self._ids[text] = ids
            self._characters += len(text)
            while self._characters > self._most_characters:
                self._characters -= len(self._ids.popitem(last=False)[0])
