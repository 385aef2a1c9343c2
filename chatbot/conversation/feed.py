"""News for whoever watches: one conversation with its replies, or the names of all that changed."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from chatbot.conversation.stream import ResponseLog

MAX_UNREAD = 256


class Changed:
    """A conversation is not what it was; its newest state is read when the news is told."""


CHANGED: Final = Changed()
News = ResponseLog | Changed
T = TypeVar("T")


class Unread(Generic[T]):
    """News that a watcher was not told yet, each once and never too many."""

    def __init__(self) -> None:
        self._news: dict[T, None] = {}
        self._is_behind = True
        self._grown = asyncio.Event()

    def add(self, news: T) -> None:
        """Note something; of too much only that there was some is kept."""
        self._news.pop(news, None)
        self._news[news] = None
        if len(self._news) > MAX_UNREAD:
            self._news.clear()
            self._is_behind = True
        self._grown.set()

    async def next(self) -> T | None:
        """Return what is to be told next; None, at first and after too much, to read anew what there is."""
        while not (self._is_behind or self._news):
            self._grown.clear()
            await self._grown.wait()
        if self._is_behind:
            self._is_behind = False
            return None
        news = next(iter(self._news))
        del self._news[news]
        return news


class Feed:
    """Bounded news for each watcher; one that does not read holds nobody up and is told to read anew."""

    def __init__(self) -> None:
        self._watchers: defaultdict[str, set[Unread[News]]] = defaultdict(set)
        self._watchers_of_all: set[Unread[str]] = set()

    @contextmanager
    def watch(self, conversation_id: str) -> Iterator[Unread[News]]:
        """Give the news of this conversation from now on."""
        unread = Unread[News]()
        self._watchers[conversation_id].add(unread)
        try:
            yield unread
        finally:
            self._watchers[conversation_id].discard(unread)
            if not self._watchers[conversation_id]:
                del self._watchers[conversation_id]

    @contextmanager
    def watch_all(self) -> Iterator[Unread[str]]:
        """Give the names of all conversations that change from now on."""
        unread = Unread[str]()
        self._watchers_of_all.add(unread)
        try:
            yield unread
        finally:
            self._watchers_of_all.discard(unread)

    def begun(self, log: ResponseLog) -> None:
        """Tell that a turn was stored and its reply is on its way."""
        self._publish(log.response.conversation_id, log)

    def changed(self, conversation_id: str) -> None:
        """Tell that a conversation was made, changed or deleted, once that is stored."""
        self._publish(conversation_id, CHANGED)

    def _publish(self, conversation_id: str, news: News) -> None:
        for names in self._watchers_of_all:
            names.add(conversation_id)
        for unread in self._watchers.get(conversation_id, ()):
            unread.add(news)
