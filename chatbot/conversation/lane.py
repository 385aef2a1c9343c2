"""Turns of one conversation run one after the other; this keeps their order and bounds how many wait."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from chatbot.protocol.errors import Conflict


class Lanes:
    """A first-in first-out lane for each conversation that has a turn."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._places: dict[str, int] = {}

    @contextmanager
    def place(self, conversation_id: str) -> Iterator[None]:
        """Hold a place in the lane; raises Conflict if the lane is full."""
        ahead = self._places.get(conversation_id, 0)
        if ahead > self._max_waiting:
            message = f"{ahead} turns of this conversation are running or waiting; wait for one to end"
            raise Conflict("conversation_busy", message, "conversation")
        self._places[conversation_id] = ahead + 1
        try:
            yield
        finally:
            self._places[conversation_id] -= 1
            if not self._places[conversation_id]:
                del self._places[conversation_id]

    @asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncIterator[None]:
        """Wait until the turns ahead have ended. Turns enter in the order in which they ask."""
        lock = self._locks.setdefault(conversation_id, asyncio.Lock())
        async with lock:
            yield
