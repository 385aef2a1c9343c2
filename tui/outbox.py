"""What the user says, on its way to the server: in the order in which it was said, each message once."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from chatbot.client import ChatbotError, Client, Reply
from tui import transitions
from tui.background import Background
from tui.choice import Choice
from tui.history import History
from tui.listing import Listing
from tui.shown import Shown
from tui.state import Chat, Message

Ask = Callable[..., Awaitable[Reply]]
"""Asks the server for a reply, given the words, a conversation, who answers and an idempotency key."""


@dataclass(frozen=True, slots=True)
class _Unsent:
    """What the server does not have yet."""

    words: str | None
    """As they were typed: what is shown of them may lack characters. None: what the server has in this place."""
    ask: Ask


class Outbox:
    """Sends messages, and makes the conversation of the first one in a new chat."""

    def __init__(
        self,
        client: Client,
        shown: Shown,
        background: Background,
        *,
        listing: Listing,
        history: History,
        choice: Choice,
    ) -> None:
        self._client = client
        self._shown = shown
        self._background = background
        self._listing = listing
        self._history = history
        self._choice = choice
        self._sending = asyncio.Lock()
        self._unsent: dict[str, _Unsent] = {}
        """By the key of its message."""

    def say(self, text: str) -> None:
        """Send a message in the open chat; it shows at once and goes out in order."""
        key = self._keep(_Unsent(text, self._client.send))
        self._shown.set(transitions.submitted(self._shown.state, key, text))
        self._background.spawn(self._send(key))

    def say_again(self, question: Message, text: str | None) -> None:
        """Have a message of the open chat answered anew, or `text` in its place; a refused one goes where it was to."""
        stored = _Unsent(None, partial(self._client.retry, item=question.item))
        unsent = self._unsent.pop(question.key, stored)
        words = text or unsent.words
        key = self._keep(_Unsent(words, unsent.ask))
        self._shown.set(transitions.asked_anew(self._shown.state, key, words or question.text))
        self._background.spawn(self._send(key))

    def _keep(self, unsent: _Unsent) -> str:
        """Return the key under which something is kept until the server has it."""
        key = f"key_{uuid.uuid4().hex}"
        self._unsent[key] = unsent
        return key

    async def _send(self, key: str) -> None:
        unsent = self._unsent[key]
        try:
            async with self._sending:
                chat = await self._made(self._shown.state.chat_of(key=key))
                reply = await unsent.ask(unsent.words, conversation=chat.id, model=chat.persona, idempotency_key=key)
        except ChatbotError as error:
            held = self._shown.state.chat_of(key=key)
            self._shown.set(transitions.refused(self._shown.state, key, str(error)))
            self._history.acknowledged(held)
            return
        self._unsent.pop(key, None)
        self._shown.set(transitions.acknowledged(self._shown.state, key, reply.response))
        self._history.acknowledged(chat)
        if not chat.title:
            self._background.spawn(self._learn_title(chat.id), chat.sheet)
        await self._history.follow(reply)

    async def _made(self, chat: Chat | None) -> Chat:
        """Return the chat of a message, made on the server if it was only a draft."""
        if chat and not chat.is_loaded:
            await self._history.load(chat.id)  # before the message is stored, or it would show twice
            chat = self._shown.state.find(chat.id)
        if chat and chat.is_draft:
            chat = await self._adopted(chat)
        if chat is None:
            raise ChatbotError("the conversation was deleted")
        return chat

    async def _adopted(self, draft: Chat) -> Chat | None:
        """Return what became of a draft at the server; None if it was deleted meanwhile, there too if it is new."""
        title = draft.title or None
        known = await self._client.conversation_titled(title) if title else None
        body = known or await self._client.create_conversation(title=title, model=draft.persona)
        if self._shown.state.find(draft.id) is None:
            if known is None:
                await self._listing.delete(body["id"], is_draft=False)
            return None
        self._shown.set(transitions.adopted(self._shown.state, draft.id, body, is_loaded=known is None))
        await self._history.load(body["id"])  # what was said there before, if it was known
        self._background.spawn(self._choice.tell(body["id"]), draft.sheet)  # what was chosen while it was being made
        return self._shown.state.find(body["id"])

    async def _learn_title(self, chat_id: str) -> None:
        body = await self._client.conversation(chat_id)
        self._shown.set(transitions.chat_described(self._shown.state, body))
