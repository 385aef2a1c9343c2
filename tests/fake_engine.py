"""An engine without a model: replies are scripted, and a test decides when each token comes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from chatbot.engine.base import BaseModel, ChatMessage, Delta, Finish, GenerationRequest, Health, Usage
from chatbot.engine.room import Room

Reply = Callable[[GenerationRequest], Sequence[str | BaseException]]


def echo(request: GenerationRequest) -> list[str]:
    """Answer with the user's words, one delta each."""
    words = f"you said: {request.messages[-1].text}".split(" ")
    return [words[0], *(f" {word}" for word in words[1:])]


class FakeEngine:
    """Counts one token for each word and one for each message."""

    def __init__(self, reply: Reply = echo, *, context_tokens: int = 1000) -> None:
        self.base = BaseModel("fake", "digest-of-fake", context_tokens)
        self.reply = reply
        self.requests: list[GenerationRequest] = []
        self.loaded: list[Path] = []
        self.unloaded: list[str] = []
        self.digest_of: Callable[[Path], str] = lambda folder: f"digest-of-{folder.name}"
        self.cancelled = 0
        self.forgotten: list[str] = []
        self.gate = asyncio.Event()
        """Deltas after the first `free` ones wait for this."""
        self.free: int | None = None
        self.trouble = ""
        """Why the engine is not ready, if it is not."""
        self.room = Room(1000, 0)
        self.is_stopped = False

    async def start(self) -> None: ...

    async def wait_loaded(self) -> None: ...

    async def stop(self) -> None:
        self.is_stopped = True

    def health(self) -> Health:
        return Health("engine_failed", self.trouble) if self.trouble else Health()

    def place(self, user: str | None) -> AbstractContextManager[None]:
        return self.room.place(user)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return sum(1 + len(message.text.split()) for message in messages)

    async def load_adapter(self, folder: Path) -> str:
        self.loaded.append(folder)
        return self.digest_of(folder)

    async def unload_adapter(self, digest: str) -> None:
        self.unloaded.append(digest)

    async def forget(self, session: str) -> None:
        self.forgotten.append(session)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        self.requests.append(request)
        pieces = self.reply(request)
        try:
            for index, piece in enumerate(pieces):
                if self.free is not None and index >= self.free:
                    await self.gate.wait()
                if isinstance(piece, BaseException):
                    raise piece
                await asyncio.sleep(0)
                yield Delta(piece)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        tokens = self.count_tokens(request.messages)
        yield Finish("stop", Usage(tokens, 0, len(pieces), 0.0, 0.0))
