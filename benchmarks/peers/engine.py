"""Our engine from the outside: one asyncio task per conversation, text streamed as it comes."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.peer import Chat
from chatbot.engine.base import Delta, Finish, GenerationRequest, Sampling, Usage
from chatbot.engine.local import LocalEngine


@dataclass(frozen=True, slots=True)
class Turn:
    """A reply and what it took."""

    text: str
    usage: Usage


class EnginePeer:
    """The engine, each conversation with the adapter that falls to it; it is started and stopped by its owner."""

    def __init__(self, engine: LocalEngine, name: str = "engine", adapters: Sequence[str | None] = (None,)) -> None:
        """Give the digests of loaded adapters; the first conversation takes the first, and so on round."""
        self.name = name
        self._engine = engine
        self._adapters = adapters
        self._runs = 0

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        self._runs += 1
        started = time.perf_counter()
        talks = (self._talk(number, chat, tokens) for number, chat in enumerate(chats))
        assert all(turn.usage.completion_tokens == tokens for turn in await asyncio.gather(*talks))
        return time.perf_counter() - started

    async def close(self) -> None:
        """Leave the engine to its owner."""

    async def _talk(self, number: int, chat: Chat, tokens: int) -> Turn:
        adapter = self._adapters[number % len(self._adapters)]
        return await talk(self._engine, f"{self.name} {self._runs}.{number}", chat, tokens, adapter)


async def talk(engine: LocalEngine, session: str, chat: Chat, tokens: int, adapter: str | None = None) -> Turn:
    """Take one greedy turn to its end."""
    request = GenerationRequest(session, chat, Sampling(temperature=0, max_tokens=tokens), adapter)
    parts: list[str] = []
    async for event in engine.generate(request):
        match event:
            case Delta(text):
                parts.append(text)
            case Finish(_, usage):
                return Turn("".join(parts), usage)
    raise AssertionError("a generation ended without its last event")
