"""News of a conversation for whoever watches it: a turn has begun, its title changed."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from chatbot.conversation.stream import ResponseLog
from storage.records import Conversation

News = ResponseLog | Conversation

MAX_UNREAD = 256


class Feed:
    """One bounded queue for each watcher; a watcher that does not read loses its oldest news, nobody else's."""

    def __init__(self) -> None:
        self._watchers: defaultdict[str, set[asyncio.Queue[News]]] = defaultdict(set)

    @contextmanager
    def watch(self, conversation_id: str) -> Iterator[asyncio.Queue[News]]:
        """Give the queue on which news of this conversation arrive."""
        queue: asyncio.Queue[News] = asyncio.Queue(MAX_UNREAD)
        self._watchers[conversation_id].add(queue)
        try:
            yield queue
        finally:
            self._watchers[conversation_id].discard(queue)
            if not self._watchers[conversation_id]:
                del self._watchers[conversation_id]

    def publish(self, conversation_id: str, news: News) -> None:
        for queue in self._watchers.get(conversation_id, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(news)
