"""Model names that clients may ask for: the base model by its name, and one persona for each adapter."""

import asyncio
import difflib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from adapters.errors import AdapterNotFound
from adapters.store import AdapterFolder, AdapterStore
from chatbot.engine.base import AdapterRejected, Engine
from chatbot.protocol.errors import InvalidRequest, NotFound, ProtocolError
from storage.records import Conversation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Persona:
    """A name that a turn can be sent to, with what belongs to it."""

    name: str
    description: str = ""
    system: str | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    folder: Path | None = None
    digest: str | None = None
    """Content digest of the adapter."""
    version: int | None = None
    created_at: int = 0


class Personas:
    """The personas that are on disk right now; a version published while the server runs is found at its next use."""

    def __init__(self, engine: Engine, store: AdapterStore) -> None:
        self._engine = engine
        self._store = store
        self._reading = asyncio.Lock()
        self._loaded: set[str] = set()
        self._uses: Counter[str] = Counter()
        """How many replies hold each adapter."""

    @property
    def base(self) -> Persona:
        return Persona(self._engine.base.name, description="the base model without an adapter")

    async def all(self) -> list[Persona]:
        """Return the base model and the newest fitting version of every persona."""
        newest = {adapter.name: adapter for adapter in await self._read(self._store.scan) if self._fits(adapter)}
        return [self.base, *(_persona(newest[name]) for name in sorted(newest))]

    async def resolve(self, name: str | None) -> Persona:
        """Return the persona of this name; None is the base model. Raises NotFound with the nearest name."""
        base = self._engine.base
        if name is None or name == base.name:
            return self.base
        try:
            return _persona(await self._read(lambda: self._store.resolve(name, base_digest=base.digest)))
        except AdapterNotFound:
            pass
        try:
            await self._read(lambda: self._store.resolve(name))
        except AdapterNotFound:
            raise await self._not_found(name) from None
        message = f"persona {name!r} was trained on another base model than {base.name}; train it again on this one"
        raise InvalidRequest("model_mismatch", message, "model")

    async def answering(self, asked: str | None, conversation: Conversation | None) -> Persona:
        """Return the persona that a turn asks for, else its conversation's. Raises with the way out if it is gone."""
        if asked or conversation is None:
            return await self.resolve(asked)
        try:
            return await self.resolve(conversation.model)
        except ProtocolError as error:
            way_out = f"/persona in the terminal, or POST /v1/conversations/{conversation.id} with another model"
            message = f"{error.message}; the conversation is to be answered by it, choose who does: {way_out}"
            raise type(error)(error.code, message, error.param) from None

    @asynccontextmanager
    async def loaded(self, persona: Persona) -> AsyncIterator[str | None]:
        """Hold the persona's adapter in the engine, and yield its digest; None for the base model.

        Raises InvalidRequest if the engine does not take it.
        """
        if persona.folder is None:
            yield None
            return
        there = persona.digest if persona.digest in self._loaded else None
        digest = there or await self._load(persona.folder)
        self._uses[digest] += 1
        try:
            if there is None:
                await self._unload_replaced()
            yield digest
        finally:
            self._uses[digest] -= 1

    async def _load(self, folder: Path) -> str:
        try:
            digest = await self._engine.load_adapter(folder)
        except AdapterRejected as error:
            raise InvalidRequest("adapter_rejected", str(error), "model") from None
        self._loaded.add(digest)
        return digest

    async def _unload_replaced(self) -> None:
        """Free the adapters that no reply holds and that were replaced or removed since they were loaded."""
        offered = {persona.digest for persona in await self.all()}
        while unused := next((each for each in self._loaded - offered if not self._uses[each]), None):
            self._loaded.discard(unused)
            await self._engine.unload_adapter(unused)

    async def _read(self, read: Callable[[], T]) -> T:
        """Ask the store in another thread: it hashes what is new, and large weights take seconds."""
        async with self._reading:  # who comes meanwhile finds it hashed
            return await asyncio.to_thread(read)

    def _fits(self, adapter: AdapterFolder) -> bool:
        return adapter.base_digest is None or adapter.base_digest == self._engine.base.digest

    async def _not_found(self, name: str) -> NotFound:
        known = [persona.name for persona in await self.all()]
        shown = name[:60]  # a name of any length may come, and is compared with all
        near = difflib.get_close_matches(shown, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return NotFound("model_not_found", f"no model or persona is called {shown!r}; {hint}", "model")


def _persona(adapter: AdapterFolder) -> Persona:
    return Persona(
        adapter.name,
        description=adapter.description,
        system=adapter.system,
        sampling=adapter.sampling,
        folder=adapter.path,
        digest=adapter.digest,
        version=adapter.version,
        created_at=adapter.created_at,
    )
