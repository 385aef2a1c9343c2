"""`/v1/responses` over a WebSocket: one reader that parses and dispatches, and one task for each frame's work.

The reader never waits for a reply: uvicorn's sans-I/O protocol stops reading pongs while a message is unread, and
the connection would die in the middle of a long answer.
"""

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from chatbot.protocol import events
from chatbot.protocol.errors import InvalidRequest, Overloaded, ProtocolError, ServerFault, TooLarge
from chatbot.protocol.frames import parse_object
from chatbot.protocol.requests import (
    CLIENT_EVENTS,
    ConversationSubscribe,
    ConversationUnsubscribe,
    ResponseAttach,
    ResponseCancel,
    ResponseCreate,
    is_stream_id,
    validate,
)
from chatbot.server.guard import SUBPROTOCOLS
from chatbot.server.idempotency import idempotency_key
from chatbot.server.readings import Readings
from chatbot.server.services import Services
from chatbot.server.watching import Watching

logger = structlog.get_logger(__name__)

MAX_TASKS = 256
"""Requests and readings that one socket may have at the same time, beside what it follows."""
MAKES_ROOM = ("response.cancel", "chatbot:conversation.unsubscribe")
"""What is taken up to twice as many."""


class ResponseSocket:
    """One connection."""

    def __init__(self, services: Services, socket: WebSocket) -> None:
        self._services = services
        self._socket = socket
        self._tasks: set[asyncio.Task[None]] = set()
        self._readings = Readings(services, self._send)
        self._watching = Watching(services, self._readings, self._send, self._spawn)
        self._beginning = asyncio.Lock()
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Serve the connection until the client leaves. Replies that are stored go on without it."""
        offered = self._socket.scope.get("subprotocols", [])
        await self._socket.accept(next((name for name in SUBPROTOCOLS if name in offered), None))
        try:
            while True:
                await self._take(await self._receive())
        except WebSocketDisconnect:
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _receive(self) -> str | bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text: str | None = message.get("text")
        return text if text is not None else message["bytes"]

    async def _take(self, raw: str | bytes) -> None:
        """Start the work that a frame asks for; its errors are answered with the ids that the frame carries."""
        count = len(self._tasks) - self._watching.count
        if count < MAX_TASKS:
            self._spawn(self._handle(raw))
            return
        event = self._understood(raw)
        if event.get("type") in MAKES_ROOM and count < 2 * MAX_TASKS:
            self._spawn(self._handle(raw))
            return
        busy = Overloaded("too_many_requests", f"this socket has {MAX_TASKS} requests open; wait, or cancel one")
        stream_id = event.get("stream_id")
        told = busy.event(_event_id(event), stream_id if is_stream_id(stream_id) else None)
        await self._send(told)  # not in a task: who does not read is not read from

    def _understood(self, raw: str | bytes) -> dict[str, Any]:
        """Return the event in a frame, or an empty one if it cannot be parsed."""
        try:
            return parse_object(raw)
        except ProtocolError:
            return {}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _handle(self, raw: str | bytes) -> None:
        with suppress(WebSocketDisconnect):  # there is nobody to be answered
            await self._answer(raw)

    async def _answer(self, raw: str | bytes) -> None:
        event_id = stream_id = None
        try:
            event = parse_object(raw)
            event_id = _event_id(event)
            stream_id = _stream_id(event)
            self._check_size(raw)
            await self._dispatch(event, stream_id)
        except ProtocolError as error:
            await self._send(error.event(event_id, stream_id))
        except WebSocketDisconnect:
            raise
        except Exception:
            # The connection's edge: the client is told, the log has the traceback, the socket lives on.
            logger.exception("frame crashed")
            fault = ServerFault("server_error", "the server failed on this event")
            await self._send(fault.event(event_id, stream_id))

    def _check_size(self, raw: str | bytes) -> None:
        size = len(raw.encode("utf-8", "surrogatepass")) if isinstance(raw, str) else len(raw)
        limit = self._services.settings.max_message_bytes
        if size > limit:
            raise TooLarge("message_too_large", f"the message has {size} bytes; {limit} are allowed")

    async def _dispatch(self, event: dict[str, Any], stream_id: str | None) -> None:
        match event.get("type"):
            case "response.create":
                await self._create(validate(ResponseCreate, event), stream_id)
            case "response.cancel":
                await self._cancel(validate(ResponseCancel, event).response_id, stream_id)
            case "chatbot:response.attach":
                wanted = validate(ResponseAttach, event)
                log = await self._services.turns.attach(wanted.response_id)
                await self._readings.read(log, stream_id, wanted.starting_after)
            case "chatbot:conversation.subscribe":
                await self._watching.subscribe(validate(ConversationSubscribe, event).conversation, stream_id)
            case "chatbot:conversation.unsubscribe":
                await self._watching.unsubscribe(validate(ConversationUnsubscribe, event).conversation, stream_id)
            case "chatbot:conversations.watch":
                await self._watching.watch_all(stream_id)
            case other:
                message = f"type: expected {' or '.join(CLIENT_EVENTS)}, got {str(other)[:60]!r}"
                raise InvalidRequest("unknown_event", message, "type")

    async def _create(self, request: ResponseCreate, stream_id: str | None) -> None:
        async with self._beginning:  # what one client says is stored in the order in which it said it
            log = await self._services.turns.create(request, idempotency_key(request.given_key))
        await self._readings.read(log, stream_id, -1)

    async def _cancel(self, response_id: str, stream_id: str | None) -> None:
        """Stop a reply; its end is told by whoever reads it here already, or else as the answer."""
        is_read = self._readings.includes(response_id)
        settled = await self._services.turns.cancel(response_id)
        if not is_read:
            await self._send(events.last(settled), stream_id)

    async def _send(self, event: dict[str, Any], stream_id: str | None = None) -> None:
        if stream_id is not None:
            event = {**event, "stream_id": stream_id}
        async with self._sending:
            if self._socket.application_state is not WebSocketState.CONNECTED:
                raise WebSocketDisconnect
            with suppress(RuntimeError):  # the client left between the check and the send
                await self._socket.send_text(json.dumps(event, ensure_ascii=False))


def _event_id(event: dict[str, Any]) -> str | None:
    given = event.get("event_id")
    return given if isinstance(given, str) else None


def _stream_id(event: dict[str, Any]) -> str | None:
    given = event.get("stream_id")
    if given is not None and not is_stream_id(given):
        message = "stream_id: expected 1 to 256 letters, digits, `_`, `.` or `-`"
        raise InvalidRequest("invalid_stream_id", message, "stream_id")
    return given
