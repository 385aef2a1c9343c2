"""Greedy replies from the project's own engine, many at a time: what users get, sampling apart."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.evaluation.question import Chat
from chatbot.engine.base import Delta, Engine, Finish, GenerationRequest, Sampling

REPLY_TOKENS = 80
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, and whether the model ended it by itself."""

    text: str
    has_stopped: bool


async def replies(
    engine: Engine, chats: Sequence[Chat], adapter: str | None = None, *, max_tokens: int = REPLY_TOKENS
) -> list[Reply]:
    """Return the greedy reply to each chat, in the order given; `adapter` is the digest of a loaded one."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, chat: Chat) -> Reply:
        async with turns:
            sampling = Sampling(temperature=0, max_tokens=max_tokens)
            return await _reply(engine, GenerationRequest(f"evaluation {number}", chat, sampling, adapter))

    return await asyncio.gather(*(one(number, chat) for number, chat in enumerate(chats)))


async def _reply(engine: Engine, request: GenerationRequest) -> Reply:
    parts: list[str] = []
    has_stopped = False
    async for event in engine.generate(request):
        match event:
            case Delta(text):
                parts.append(text)
            case Finish(reason):
                has_stopped = reason == "stop"
    return Reply("".join(parts).strip(), has_stopped)
