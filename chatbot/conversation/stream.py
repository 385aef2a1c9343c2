"""The event log of one running response. Every reader is a cursor on it, so no reader can slow or lose another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from chatbot.protocol import events
from chatbot.protocol.events import Event
from storage.records import Response


class ResponseLog:
    """The events of one response, in order, from the first to the last.

    One task appends; any number of readers follow with `events()` at their own pace and from any place.
    """

    def __init__(self, response: Response, on_unread: Callable[[], None] | None = None) -> None:
        """Begin the log; `on_unread` is called whenever the last reader leaves."""
        self.response = response
        self.context: Mapping[str, Any] | None = response.context
        """What the model sees, once the prompt is made."""
        self._on_unread = on_unread
        self._reader_count = 0
        self._pieces: list[str] = []
        self._opening = events.opening(response)
        self._events: list[Event] = [self._opening[0]]
        self._closed = asyncio.Event()
        self._grown = asyncio.Event()

    @classmethod
    def settled(cls, response: Response) -> "ResponseLog":
        """Return the log of a response that has ended, as stored."""
        log = cls(response)
        log._closed.set()
        return log

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def delta_lengths(self) -> tuple[int, ...]:
        return tuple(len(piece) for piece in self._pieces)

    def begin(self, context: Mapping[str, Any]) -> None:
        """Append the events that announce the reply; the first one, the acknowledgement, is there already."""
        self.context = dict(context)
        self._append(self._opening[1:])

    def add(self, text: str) -> None:
        """Append one delta."""
        self._append([events.delta(self.response, len(self._pieces), text)])
        self._pieces.append(text)

    def close(self, response: Response) -> None:
        """End the log: what a reader has not seen then comes from the settled response."""
        self.response = response
        self._closed.set()
        self._append([])

    async def events(self, starting_after: int = -1) -> AsyncIterator[Event]:
        """Yield every event after the given sequence number, then wait for more until the log ends."""
        position = starting_after + 1
        while not self._closed.is_set():
            grown = self._grown
            while position < len(self._events):
                yield self._events[position]
                position += 1
            if not self._closed.is_set():
                await grown.wait()
        for event in events.replay(self.response, position - 1):
            yield event

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count one more reader inside the block. Who sends the log to a client reads inside one."""
        self._reader_count += 1
        try:
            yield
        finally:
            self._reader_count -= 1
            if not self._reader_count and self._on_unread is not None:
                self._on_unread()

    async def wait_closed(self) -> Response:
        """Return the settled response once it has ended."""
        await self._closed.wait()
        return self.response

    def _append(self, new: Sequence[Event]) -> None:
        self._events.extend(new)
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
