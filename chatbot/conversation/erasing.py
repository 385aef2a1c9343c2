"""Deleting what was said: nothing that shows it goes on, and nothing keeps it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatbot.conversation.turn import Turns


@asynccontextmanager
async def erasing(turns: Turns, conversation_id: str, item_id: str | None = None) -> AsyncIterator[None]:
    """Have a conversation, or an item of it, deleted from storage inside the block.

    Its replies are stopped before the block and once more after it, for one may have begun meanwhile; then it is
    forgotten.
    """
    await turns.cancel_all(conversation_id, item_id)
    async with forgetting(turns, conversation_id):
        yield
        await turns.cancel_all(conversation_id, item_id)


@asynccontextmanager
async def forgetting(turns: Turns, conversation_id: str) -> AsyncIterator[None]:
    """Have something of a conversation deleted from storage inside the block, while its replies go on.

    Memory and engine forget it before the block, lest a crash after it leave what nobody would look for again, and
    once more after it.
    """
    await turns.forget(conversation_id)
    yield
    turns.feed.changed(conversation_id)
    await turns.forget(conversation_id)
