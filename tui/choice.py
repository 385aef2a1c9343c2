"""Who is to answer in a chat: what the user chose stands until the server has taken or refused it."""

import asyncio

from chatbot.client import ChatbotError, Client
from tui import transitions
from tui.shown import Shown


class Choice:
    """Tells the server who was chosen, one after the other: what was chosen last is what it keeps."""

    def __init__(self, client: Client, shown: Shown) -> None:
        self._client = client
        self._shown = shown
        self._telling = asyncio.Lock()

    async def tell(self, chat_id: str) -> None:
        """Have the server keep who was chosen in a chat; do nothing for a draft, or where it knows."""
        async with self._telling:
            chat = self._shown.state.find(chat_id)
            wanted = chat.wanted_persona if chat and not chat.is_draft else None
            if wanted is None:
                return
            try:
                body = await self._client.set_model(chat_id, wanted)
            except ChatbotError:
                self._shown.set(transitions.persona_told(self._shown.state, chat_id, wanted))
                raise
            state = transitions.persona_told(self._shown.state, chat_id, wanted)
            self._shown.set(transitions.chat_described(state, body))
