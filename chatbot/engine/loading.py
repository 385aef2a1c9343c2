"""An engine whose model is still being read: it takes requests at once, and answers them when it can.

Importing torch and reading weights takes seconds or minutes, in which a server can already show every conversation
and keep what is said.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from pathlib import Path

import structlog

from chatbot.engine.base import (
    BaseModel,
    ChatMessage,
    Delta,
    Engine,
    EngineError,
    Finish,
    GenerationRequest,
    Health,
    ModelNotLoaded,
)
from chatbot.engine.kv_owner import owner_of, remove_files
from chatbot.engine.room import Room

LOADING = "the model is being loaded"
log = structlog.get_logger()


class LoadingEngine:
    """Stands for the engine that `make` gives, from before that is there. Implements `chatbot.engine.base.Engine`."""

    def __init__(self, base: BaseModel, make: Callable[[], Engine], room: Room, kv_dir: Path | None) -> None:
        """`make` is called once, in another thread, and what it gives is started; `room` bounds who may wait.

        In `kv_dir` may lie what earlier runs computed of conversations.
        """
        self.base = base
        self._make = make
        self._room = room
        self._kv_dir = kv_dir
        self._forgotten: list[str] = []
        """What the engine may have found in files before they were removed."""
        self._engine: Engine | None = None
        self._loading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to load, and return at once; `wait_loaded` tells the outcome."""
        self._loading = asyncio.create_task(self._load())

    async def wait_loaded(self) -> None:
        """Return once the model is in memory. Raises the EngineError that kept it from there."""
        assert self._loading is not None, "start() comes first"
        await asyncio.shield(self._loading)

    async def stop(self) -> None:
        """Wait until the model is loaded, which cannot be cut short, and free it."""
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)  # what went wrong is of no use any more
        if self._engine is not None:
            await self._engine.stop()

    def health(self) -> Health:
        """Say whether generations would be answered, and if not, whether they will be once the model is loaded."""
        if self._engine is not None:
            return self._engine.health()
        if self._loading is None or not self._loading.done():
            return Health("loading", LOADING)
        return Health("engine_failed", str(self._loading.exception()))

    def place(self, user: str | None) -> AbstractContextManager[None]:
        """Hold a place for one generation of this user inside the block. Raises EngineBusy if there is none."""
        return self._room.place(user)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Return the length of the prompt these messages make. Raises ModelNotLoaded."""
        if self._engine is None:
            raise ModelNotLoaded(self.health().reason)
        return self._engine.count_tokens(messages)

    async def load_adapter(self, folder: Path) -> str:
        """Make a LoRA adapter usable once the model is there, and return its content digest."""
        return await (await self._loaded()).load_adapter(folder)

    async def unload_adapter(self, digest: str) -> None:
        """Free an adapter once no running generation uses it."""
        await (await self._loaded()).unload_adapter(digest)

    async def forget(self, session: str) -> None:
        """Drop the attention state of a conversation, at once: what there is of it before the model is in files."""
        if self._engine is not None:
            await self._engine.forget(session)
            return
        self._forgotten.append(session)
        if self._kv_dir is not None:
            await asyncio.to_thread(remove_files, self._kv_dir, owner_of(session))

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Stream one reply once the model is there. Raises what kept it from there, else as the engine does."""
        with nullcontext() if request.has_place else self.place(request.user):
            engine = await self._loaded()
            async with aclosing(engine.generate(request)) as events:
                async for event in events:
                    yield event

    async def _load(self) -> None:
        try:
            engine = await asyncio.to_thread(self._make)
            await engine.start()
            while self._forgotten:
                await engine.forget(self._forgotten.pop())
        except EngineError:
            raise
        except Exception as bug:
            log.exception("engine.not_loaded")
            raise ModelNotLoaded(f"the model could not be loaded: {bug!r}") from bug
        self._engine = engine

    async def _loaded(self) -> Engine:
        if self._engine is None:
            await self.wait_loaded()
        assert self._engine is not None
        return self._engine
