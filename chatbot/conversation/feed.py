"""News for whoever watches: one conversation with its replies, or the names of all that changed."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from chatbot.conversation.stream import ResponseLog

MAX_UNREAD = 256


class Changed:
    """A conversation is not what it was; its newest state is read when the news is told."""


News = ResponseLog | Changed


class Changes:
    """Names of the conversations that changed since a watcher of all last looked, each once and never too many."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._is_behind = True
        self._grown = asyncio.Event()

    def add(self, conversation_id: str) -> None:
        """Note a change; of too many only that there were some is kept."""
        self._names.pop(conversation_id, None)
        self._names[conversation_id] = None
        if len(self._names) > MAX_UNREAD:
            self._names.clear()
            self._is_behind = True
        self._grown.set()

    async def next(self) -> str | None:
        """Return the next conversation to tell of; None, at first and after too many, to read the whole list."""
        while not (self._is_behind or self._names):
            self._grown.clear()
            await self._grown.wait()
        if self._is_behind:
            self._is_behind = False
            return None
        name = next(iter(self._names))
        del self._names[name]
        return name


class Feed:
    """One bounded queue for each watcher; a watcher that does not read loses its oldest news, nobody else's."""

    def __init__(self) -> None:
        self._watchers: defaultdict[str, set[asyncio.Queue[News]]] = defaultdict(set)
        self._watchers_of_all: set[Changes] = set()

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

    @contextmanager
    def watch_all(self) -> Iterator[Changes]:
        """Give the changes of every conversation from now on."""
        changes = Changes()
        self._watchers_of_all.add(changes)
        try:
            yield changes
        finally:
            self._watchers_of_all.discard(changes)

    def begun(self, log: ResponseLog) -> None:
        """Tell that a turn was stored and its reply is on its way."""
        self._publish(log.response.conversation_id, log)

    def changed(self, conversation_id: str) -> None:
        """Tell that a conversation was made, changed or deleted, once that is stored."""
        self._publish(conversation_id, Changed())

    def _publish(self, conversation_id: str, news: News) -> None:
        for changes in self._watchers_of_all:
            changes.add(conversation_id)
        for queue in self._watchers.get(conversation_id, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(news)
