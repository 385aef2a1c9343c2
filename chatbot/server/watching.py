"""What one socket is told of others: the replies and the state of conversations it follows, and which of all change."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from chatbot.conversation.faults import told_in_protocol
from chatbot.conversation.feed import CHANGED, Changed, News, Unread
from chatbot.conversation.stream import ResponseLog
from chatbot.protocol.errors import Overloaded
from chatbot.protocol.resources import conversation_resource, deleted_conversation
from chatbot.server.readings import Readings, Send
from chatbot.server.services import Services
from storage.errors import ConversationNotFound, StorageError
from storage.records import Conversation

MAX_SUBSCRIPTIONS = 256
MAX_STREAMED = 32
"""Replies of one conversation that are streamed at the same time; later ones wait for the end of one."""
RETRY_S = 1.0
"""Wait before a state that could not be read is read again."""
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Watching:
    """Follows conversations for as long as its socket is there and wants them."""

    def __init__(self, services: Services, readings: Readings, send: Send, spawn: Spawn) -> None:
        self._services = services
        self._readings = readings
        self._send = send
        self._spawn = spawn
        self._subscriptions: dict[str, asyncio.Task[Any]] = {}
        self._is_watching_all = False

    @property
    def count(self) -> int:
        """How many tasks of the socket only wait for what others do."""
        return len(self._subscriptions) + self._is_watching_all

    async def subscribe(self, conversation_id: str, stream_id: str | None) -> None:
        """Send what others do in a conversation, until it is deleted: their turns as they stream, its new title.

        Raises NotFound, and Overloaded where too many are followed.
        """
        if conversation_id in self._subscriptions:
            return
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            message = f"this socket follows {MAX_SUBSCRIPTIONS} conversations; unsubscribe from one"
            raise Overloaded("too_many_subscriptions", message, "conversation")
        with self._subscribed(conversation_id), self._services.turns.feed.watch(conversation_id) as unread:
            with told_in_protocol():
                await self._services.store.conversation(conversation_id)
            await self._tell_news(conversation_id, stream_id, unread)

    async def unsubscribe(self, conversation_id: str, stream_id: str | None) -> None:
        """Send no more of a conversation, followed or not, after the answer."""
        if (subscription := self._subscriptions.pop(conversation_id, None)) is not None:
            subscription.cancel()
        told = {"type": "chatbot:conversation.unsubscribed", "conversation": {"id": conversation_id}}
        await self._send(told, stream_id)

    async def watch_all(self, stream_id: str | None) -> None:
        """Send how conversations change, wherever; several changes of one that were not sent yet are one."""
        if self._is_watching_all:
            return
        self._is_watching_all = True
        try:
            with self._services.turns.feed.watch_all() as unread:
                while True:
                    conversation_id = await unread.next()
                    if conversation_id is None:
                        await self._send({"type": "chatbot:conversations.watched"}, stream_id)
                    else:
                        await self._tell_change(conversation_id, stream_id)
        finally:
            self._is_watching_all = False

    @contextmanager
    def _subscribed(self, conversation_id: str) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._subscriptions[conversation_id] = task
        try:
            yield
        finally:
            if self._subscriptions.get(conversation_id) is task:
                del self._subscriptions[conversation_id]

    async def _tell_news(self, conversation_id: str, stream_id: str | None, unread: Unread[News]) -> None:
        """Tell what is new until the conversation is deleted; who unsubscribes wants no rest of a reply either."""
        streamed: set[asyncio.Task[None]] = set()
        room = asyncio.Semaphore(MAX_STREAMED)
        is_there = True
        try:
            while is_there:
                match await unread.next():
                    case None:
                        await self._begin_anew(conversation_id, stream_id, unread)
                    case ResponseLog() as log:
                        await room.acquire()
                        streaming = self._spawn(self._readings.follow(log, stream_id))
                        streamed.add(streaming)
                        streaming.add_done_callback(streamed.discard)
                        streaming.add_done_callback(lambda _: room.release())
                    case Changed():
                        is_there = await self._tell_change(conversation_id, stream_id)
        except asyncio.CancelledError:
            for streaming in streamed:
                streaming.cancel()
            raise

    async def _begin_anew(self, conversation_id: str, stream_id: str | None, unread: Unread[News]) -> None:
        """Tell that from here on nothing is missing; the state and the replies on their way come next."""
        told = {"type": "chatbot:conversation.subscribed", "conversation": {"id": conversation_id}}
        await self._send(told, stream_id)
        unread.add(CHANGED)
        for log in self._services.turns.running_in(conversation_id)[:MAX_STREAMED]:
            unread.add(log)

    async def _tell_change(self, conversation_id: str, stream_id: str | None) -> bool:
        """Send the newest state of a conversation that is listed or known to the client; False if it is deleted."""
        conversation = await self._state(conversation_id)
        if conversation is None:
            deleted = deleted_conversation(conversation_id)
            await self._send({"type": "chatbot:conversation.deleted", "conversation": deleted}, stream_id)
        elif conversation.listed or conversation_id in self._subscriptions:
            running = self._services.turns.running_in(conversation_id)
            told = {
                "type": "chatbot:conversation.updated",
                "conversation": conversation_resource(conversation),
                "running_response_id": running[0].response.id if running else None,
            }
            await self._send(told, stream_id)
        return conversation is not None

    async def _state(self, conversation_id: str) -> Conversation | None:
        """Return a conversation, None if it is deleted, once that can be read: no fault in between ends a watch."""
        while True:
            try:
                return await self._services.store.conversation(conversation_id)
            except ConversationNotFound:
                return None
            except StorageError:
                await asyncio.sleep(RETRY_S)
