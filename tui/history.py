"""What was said in a chat: its items page by page, what others add or delete, and the replies that still run."""

import asyncio
import contextlib
from collections.abc import Callable

from chatbot.client import ChatbotError, Client, NotFound, Page, Reply
from tui import transitions
from tui.background import Background
from tui.shown import Shown
from tui.state import Chat, Message, State

ITEMS_PAGE = 40
FARTHEST_PAGES = 10
"""How far back a message is looked for: what lies between is all kept, and drawn."""


class History:
    """The items of all chats, as far as they were loaded; `gone` is told of a chat that the server no longer has."""

    def __init__(self, client: Client, shown: Shown, background: Background, gone: Callable[[str], None]) -> None:
        self._client = client
        self._shown = shown
        self._background = background
        self._gone = gone
        self._behind: set[str] = set()
        """Loaded chats in which something happened that is not shown yet."""
        self._followed: dict[str, Reply] = {}
        """The newest reader of each reply that runs: it reads from the start, so an older one would double the text."""
        self._loading = asyncio.Lock()

    async def load(self, chat_id: str) -> None:
        """Load the newest page of a chat, once."""
        came: list[Message] = []
        async with self._loading:
            chat = self._shown.state.find(chat_id)
            if chat and not chat.is_loaded:
                try:
                    came = self._prepend(chat_id, await self._page(chat_id))
                except NotFound:
                    self._gone(chat_id)
        await self._take_up(came)

    def load_older(self, chat: Chat) -> None:
        """Fetch the page before what a chat shows, once it is its turn."""
        if chat.oldest_item:
            self._background.spawn(self._load_older(chat.id, chat.oldest_item))

    async def _load_older(self, chat_id: str, oldest: str) -> None:
        """Fetch the page before the oldest item, unless another is the oldest by then."""
        async with self._loading:
            chat = self._shown.state.find(chat_id)
            came = await self._older(chat) if chat and chat.oldest_item == oldest else []
        await self._take_up(came)

    async def _older(self, chat: Chat | None) -> list[Message]:
        """Return what came before what a chat shows; if that goes on at an item that was deleted, before the next."""
        while chat and chat.oldest_item:
            try:
                if came := self._prepend(chat.id, await self._page(chat.id, after=chat.oldest_item)):
                    return came
            except NotFound as gone:
                if gone.code != "item_not_found":
                    raise
                self._shown.set(transitions.oldest_gone(self._shown.state, chat.id))
            chat = self._shown.state.find(chat.id)
        return []

    async def has(self, chat_id: str, item: str) -> bool:
        """Whether an item is among what led to the newest message of a chat, however far back; False: beside that."""
        await self.load(chat_id)
        chat = self._shown.state.find(chat_id)
        if chat is None or _key_of(chat, item):
            return chat is not None
        page = await self._client.items(chat_id, limit=1, after=item)
        return any(following["parent_id"] == item for following in page.data)

    async def reach(self, chat_id: str, item: str) -> str | None:
        """Load a chat as far back as an item, and return the key of its message; None if that is not in sight there."""
        await self.load(chat_id)
        for _ in range(FARTHEST_PAGES):
            chat = self._shown.state.find(chat_id)
            if chat is None or not chat.oldest_item or _key_of(chat, item):
                break
            await self._load_older(chat_id, chat.oldest_item)
        chat = self._shown.state.find(chat_id)
        return _key_of(chat, item) if chat else None

    async def catch_up(self, chat_id: str) -> None:
        """Show what was said in a loaded chat from elsewhere, such as another terminal.

        What is being sent from here cannot be told from what others say; then it is done after the acknowledgement.
        """
        self._behind.add(chat_id)
        async with self._loading:
            chat = self._shown.state.find(chat_id)
            if chat is None or not chat.is_loaded or chat.is_sending or chat_id not in self._behind:
                return
            self._behind.discard(chat_id)
            try:
                page = await self._page(chat_id)
            except NotFound:
                self._gone(chat_id)  # perhaps while nobody could tell
                return
            except ChatbotError:
                self._behind.add(chat_id)
                raise
            came = self._merge(chat, page)
        await self._take_up(came)

    async def _page(self, chat_id: str, *, after: str | None = None) -> Page:
        return await self._client.items(chat_id, order="desc", limit=ITEMS_PAGE, after=after)

    def _prepend(self, chat_id: str, page: Page) -> list[Message]:
        """Put a page before what is shown, and return what came in by it."""
        state = self._shown.state
        self._shown.set(transitions.items_loaded(state, chat_id, page.data, has_more=page.has_more))
        return self._came(state, chat_id)

    def _merge(self, asked: Chat, page: Page) -> list[Message]:
        """Take in the newest page of a chat, which was `asked` when it was asked for, and return what came in by it."""
        state = self._shown.state
        chat = state.find(asked.id)
        if chat is None or chat.is_sending:
            self._behind.add(asked.id)
            return []
        stored = {message.key for message in asked.messages}
        self._shown.set(transitions.caught_up(state, asked.id, page.data, has_more=page.has_more, stored=stored))
        return self._came(state, asked.id)

    def _came(self, before: State, chat_id: str) -> list[Message]:
        known, chat = before.find(chat_id), self._shown.state.find(chat_id)
        keys = {message.key for message in known.messages} if known else set()
        return [message for message in chat.messages if message.key not in keys] if chat else []

    def acknowledged(self, chat: Chat | None) -> None:
        """Do what had to wait until the server has named what was sent."""
        if chat and chat.id in self._behind:
            self._background.spawn(self.catch_up(chat.id), chat.sheet)

    async def follow(self, reply: Reply, *, is_live: bool = True) -> None:
        """Take in what comes of a reply; one that is lost for good is marked so, and the reason told.

        How fast one comes that was taken up later, and is not `is_live` at first, tells nothing.
        """
        self._followed[reply.id] = reply
        try:
            async for event in reply:
                if self._followed.get(reply.id) is not reply:
                    return
                self._shown.receive(event, is_live=is_live)
        except ChatbotError:
            if self._followed.get(reply.id) is not reply:
                return
            lost = {"id": reply.id, "status": "incomplete"}
            self._shown.receive({"type": "response.incomplete", "response": lost})
            raise
        finally:
            if self._followed.get(reply.id) is reply:
                del self._followed[reply.id]

    async def _take_up(self, came: list[Message]) -> None:
        """Follow the loaded replies that still run; learn why others are incomplete."""
        for message in came:
            if message.response_id and message.status == "streaming":
                running = await self._client.attach(message.response_id)
                chat = self._shown.state.chat_of(key=message.key)
                self._background.spawn(self.follow(running, is_live=False), chat.sheet if chat else None)
            elif message.response_id and message.status == "interrupted":
                with contextlib.suppress(NotFound):  # deleted elsewhere meanwhile
                    response = await self._client.response(message.response_id)
                    self._shown.receive({"type": "response.incomplete", "response": response})


def _key_of(chat: Chat, item: str) -> str | None:
    return next((message.key for message in chat.messages if message.item == item), None)
