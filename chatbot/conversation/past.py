"""What is kept of conversations between their turns, in memory, so that a long one is not read anew for each.

It only saves work: the path is compared with what is stored, and the index with the path, before either is used.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from chatbot.conversation.said import Said
from storage.records import KnownPath

MOST_BYTES = 64 * 2**20
"""About how much all of it may take; the conversation that was used last is kept whatever it takes."""
_MESSAGE_BYTES = 1_500
"""About what a message takes beside its text, the direction of its meaning among it."""
_COPIES = 3
"""How often a text is held: in the path, and as text and words of the index."""


@dataclass(slots=True, weakref_slot=True)
class Past:
    """One conversation up to its last turn."""

    path: KnownPath = field(default_factory=KnownPath)
    said: Said = field(default_factory=Said)

    def size_bytes(self) -> int:
        return sum(_MESSAGE_BYTES + _COPIES * len(item.text) for item in self.path.items)


class Pasts:
    """The pasts of the conversations that were used last."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[Past, int]] = OrderedDict()
        self._taken: WeakValueDictionary[str, Past] = WeakValueDictionary()
        self._bytes = 0

    def take(self, conversation_id: str) -> Past:
        """Return what is known of a conversation, which nobody else has until it is kept again."""
        past = self._drop(conversation_id)
        self._taken[conversation_id] = past
        return past

    def keep(self, conversation_id: str, past: Past) -> None:
        """Keep what is known, unless the conversation was forgotten meanwhile; what was not used for longest goes."""
        if self._taken.pop(conversation_id, None) is not past:
            return
        size = past.size_bytes()
        self._kept[conversation_id] = (past, size)
        self._bytes += size
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def forget(self, conversation_id: str) -> None:
        """Leave nothing of a conversation, nor of what somebody has taken when he is done with it."""
        self._taken.pop(conversation_id, None)
        self._drop(conversation_id)

    def _drop(self, conversation_id: str) -> Past:
        past, size = self._kept.pop(conversation_id, (Past(), 0))
        self._bytes -= size
        return past
