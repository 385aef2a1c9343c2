"""What tests of turns say and read."""

import asyncio
from typing import Any

from chatbot.conversation.stream import ResponseLog
from chatbot.protocol.requests import ResponseCreate, validate
from storage.records import Response
from storage.store import Store


def say(text: str, **fields: Any) -> ResponseCreate:
    return validate(ResponseCreate, {"input": text, **fields})


async def end_of(log: ResponseLog) -> Response:
    return await asyncio.wait_for(log.wait_closed(), 10)


async def transcript(store: Store, conversation_id: str) -> list[tuple[str, str, str]]:
    return [(item.role, item.status, item.text) for item in await store.items(conversation_id)]
