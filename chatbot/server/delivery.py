"""How a reply reaches a client over HTTP: whole when it has ended, or as server-sent events while it comes."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chatbot.conversation.stream import ResponseLog
from chatbot.protocol.events import Event

PING_S = 15.0
"""Silence after which a comment is sent, so that no proxy closes a stream that waits for its first token."""
PING = ": ping\n\n"
DONE = "data: [DONE]\n\n"


class EventStream(StreamingResponse):
    """Frames made of a log as it grows, sent by the server.

    It reads from when it is called, not from the first frame: the iterator of the body is never begun, so it has no
    end, if the client goes before it has the headers.
    """

    def __init__(self, log: ResponseLog, frames: AsyncIterator[str]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(frames, media_type="text/event-stream", headers=headers)
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._log.reading():
            await super().__call__(scope, receive, send)


async def wait_for_end(log: ResponseLog, request: Request) -> None:
    """Return when the response has settled, or the client that asked has left."""
    ended = asyncio.create_task(log.wait_closed())
    left = asyncio.create_task(_disconnect(request))
    try:
        with log.reading():
            await asyncio.wait([ended, left], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        left.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def with_pings(events: AsyncIterator[Event]) -> AsyncIterator[Event | None]:
    """Yield the events, and None whenever none has come for a while."""
    upcoming: asyncio.Task[Event] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([upcoming], timeout=PING_S)
            if not done:
                yield None
                continue
            finished, upcoming = upcoming, None
            try:
                event = finished.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        if upcoming is not None:
            upcoming.cancel()
