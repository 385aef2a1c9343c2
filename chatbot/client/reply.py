"""A reply as an ordered log of server events, free of gaps and repetitions.

Whatever socket an event came over, its sequence number decides: seen ones are dropped, so a re-attached
stream continues exactly where the lost one ended. Reading is a cursor on the log and may start at any time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from chatbot.client.errors import ChatbotError, ReplyFailed

# Any: the protocol is open; unknown events and fields are kept and handed on.
JsonObject = dict[str, Any]
Event = JsonObject

TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Reply:
    """One response: iterate it for events, `text_stream()` for text as it comes, `text()` for all of it."""

    def __init__(
        self, response: JsonObject, *, cancel: Callable[[str], Awaitable[None]], starting_after: int = -1
    ) -> None:
        self.response = response
        """Newest response object the server sent."""
        self.last_sequence = starting_after
        """Sequence number up to which everything was received."""
        self.is_finished = False
        self._cancel = cancel
        self._events: list[Event] = []
        self._error: ChatbotError | None = None
        self._grown = asyncio.Event()

    @property
    def id(self) -> str:
        return str(self.response["id"])

    @property
    def conversation(self) -> str | None:
        """Id of the conversation the reply belongs to, if it belongs to one."""
        conversation = self.response.get("conversation") or {}
        return conversation.get("id")

    @property
    def status(self) -> str:
        """Newest status: queued, in_progress, completed, incomplete, cancelled or failed."""
        return str(self.response.get("status", "in_progress"))

    @property
    def received_text(self) -> str:
        """Text that has arrived so far."""
        return "".join(_delta(event) for event in self._events)

    async def __aiter__(self) -> AsyncIterator[Event]:
        position = 0
        while True:
            grown = self._grown
            while position < len(self._events):
                position += 1
                yield self._events[position - 1]
            if self._error:
                raise self._error
            if self.is_finished:
                return
            if position == len(self._events):
                await grown.wait()

    async def text_stream(self) -> AsyncIterator[str]:
        """Yield the text piece by piece; raise `ReplyFailed` if the turn fails."""
        async for event in self:
            if delta := _delta(event):
                yield delta
        self._raise_failure()

    async def text(self) -> str:
        """Return the whole text (what there is of it, if the reply was stopped) once it is final."""
        async for _ in self:
            pass
        self._raise_failure()
        return response_text(self.response) if self.response.get("output") else self.received_text

    async def cancel(self) -> None:
        """Ask the server to stop; the partial text is kept and the stream ends with `response.incomplete`."""
        if not self.is_finished:
            await self._cancel(self.id)

    def receive(self, event: Event) -> None:
        """Take an event in, unless it was seen before or comes after the end. The end counts whenever it comes."""
        is_end, sequence = event["type"] in TERMINAL_EVENTS, event.get("sequence_number")
        is_seen = isinstance(sequence, int) and sequence <= self.last_sequence
        if self.is_finished or (is_seen and not is_end):
            return
        if isinstance(sequence, int) and not is_seen:
            self.last_sequence = sequence
        if isinstance(event.get("response"), dict):
            self.response = event["response"]
        self.is_finished = is_end
        self._events.append(event)
        self._wake()

    def fail(self, error: ChatbotError) -> None:
        """End the reply with an error for whoever reads it."""
        if not self.is_finished:
            self.is_finished = True
            self._error = error
            self._wake()

    def _raise_failure(self) -> None:
        if self.status == "failed":
            error = self.response.get("error") or {}
            raise ReplyFailed(str(error.get("message") or "the reply failed"), code=str(error.get("code") or ""))

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


def _delta(event: Event) -> str:
    return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""


def item_text(item: JsonObject) -> str:
    """Return the text of one message."""
    return "".join(part.get("text") or "" for part in item.get("content") or [])


def response_text(response: JsonObject) -> str:
    """Join the text of a response's output."""
    return "".join(
        part.get("text", "")
        for item in response.get("output") or []
        for part in item.get("content") or []
        if part.get("type") == "output_text"
    )
