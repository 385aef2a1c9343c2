"""The replies that one socket reads: their events, and what we tell beside those of the protocol."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocketDisconnect

from chatbot.conversation.stream import ResponseLog
from chatbot.protocol.events import Event
from chatbot.server.services import Services

Send = Callable[[dict[str, Any], str | None], Awaitable[None]]
"""Sends an event under the name of a stream. Raises WebSocketDisconnect."""


class Readings:
    """Sends replies; of one reply there is one reading under one stream_id at a time."""

    def __init__(self, services: Services, send: Send) -> None:
        self._services = services
        self._send = send
        self._tasks: dict[tuple[str, str | None], asyncio.Task[Any]] = {}

    def includes(self, response_id: str) -> bool:
        """Tell whether a reply is being read, under whatever name."""
        return any(response_id == read_id for read_id, _ in self._tasks)

    async def follow(self, log: ResponseLog, stream_id: str | None) -> None:
        """Send all of a reply that is not read under this name already."""
        if (log.response.id, stream_id) not in self._tasks:
            await self.read(log, stream_id, -1)

    async def read(self, log: ResponseLog, stream_id: str | None, starting_after: int) -> None:
        """Send the later events of a reply as they come; this ends an earlier reading under the same name."""
        name, task = (log.response.id, stream_id), asyncio.current_task()
        assert task is not None
        with log.reading():  # before the earlier one leaves: a reply that is not stored ends with its last reader
            if (earlier := self._tasks.get(name)) is not None:
                earlier.cancel()
            self._tasks[name] = task
            try:
                await self._pump(log, stream_id, starting_after)
            finally:
                if self._tasks.get(name) is task:
                    del self._tasks[name]

    async def _pump(self, log: ResponseLog, stream_id: str | None, starting_after: int) -> None:
        with suppress(WebSocketDisconnect):
            async for event in log.events(starting_after):
                await self._send(event, stream_id)
                await self._tell_of_our_own(log, event, stream_id)

    async def _tell_of_our_own(self, log: ResponseLog, event: Event, stream_id: str | None) -> None:
        if event["type"] == "response.created" and log.context is None:
            await self._tell_of_waiting(log.response.id, stream_id)
        elif event["type"] == "response.in_progress" and log.context is not None:
            told = {"type": "chatbot:context", "response_id": log.response.id, "context": dict(log.context)}
            await self._send(told, stream_id)

    async def _tell_of_waiting(self, response_id: str, stream_id: str | None) -> None:
        position = self._services.turns.queue_position(response_id)
        is_loading = self._services.engine.health().status == "loading"
        if is_loading or position > 0:
            waits_for = "model" if is_loading else "turns"
            queued = {"type": "chatbot:queued", "response_id": response_id}
            await self._send({**queued, "position": position, "waits_for": waits_for}, stream_id)
