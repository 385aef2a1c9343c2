"""Deleting what was said: nothing that shows it goes on, and nothing keeps it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatbot.conversation.turn import Turns


@asynccontextmanager
async def erasing(turns: Turns, conversation_id: str, item_id: str | None = None) -> AsyncIterator[None]:
    """Have a conversation, or an item of it, deleted from storage inside the block.

    Its replies are stopped, and memory and engine forget it. They do so before the block, lest a crash after it leave
    what nobody would look for again, and once more after it, for a reply may have begun meanwhile.
    """
    await turns.cancel_all(conversation_id, item_id)
    await turns.forget(conversation_id)
    yield
    await turns.cancel_all(conversation_id, item_id)
    turns.feed.changed(conversation_id)
    await turns.forget(conversation_id)
