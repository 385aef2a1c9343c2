"""Model names that clients may ask for: the base model by its name, and one persona for each adapter."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.errors import AdapterNotFound
from adapters.store import AdapterFolder, AdapterStore
from chatbot.engine.base import AdapterRejected, Engine
from chatbot.protocol.errors import InvalidRequest, NotFound


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
        self._loaded: set[str] = set()

    @property
    def base(self) -> Persona:
        return Persona(self._engine.base.name, description="the base model without an adapter")

    def all(self) -> list[Persona]:
        """Return the base model and the newest fitting version of every persona."""
        newest = {adapter.name: adapter for adapter in self._store.scan() if self._fits(adapter)}
        return [self.base, *(_persona(newest[name]) for name in sorted(newest))]

    def resolve(self, name: str | None) -> Persona:
        """Return the persona of this name; None is the base model. Raises NotFound with the nearest name."""
        base = self._engine.base
        if name is None or name == base.name:
            return self.base
        try:
            return _persona(self._store.resolve(name, base_digest=base.digest))
        except AdapterNotFound:
            pass
        try:
            self._store.resolve(name)
        except AdapterNotFound:
            raise self._not_found(name) from None
        message = f"persona {name!r} was trained on another base model than {base.name}; train it again on this one"
        raise InvalidRequest("model_mismatch", message, "model")

    async def load(self, persona: Persona) -> str | None:
        """Return the digest of the persona's adapter, loaded; None for the base model."""
        if persona.folder is None:
            return None
        if persona.digest in self._loaded:
            return persona.digest
        try:
            digest = await self._engine.load_adapter(persona.folder)
        except AdapterRejected as error:
            raise InvalidRequest("adapter_rejected", str(error), "model") from None
        self._loaded.add(digest)
        return digest

    def _fits(self, adapter: AdapterFolder) -> bool:
        return adapter.base_digest is None or adapter.base_digest == self._engine.base.digest

    def _not_found(self, name: str) -> NotFound:
        known = [persona.name for persona in self.all()]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return NotFound("model_not_found", f"no model or persona is called {name!r}; {hint}", "model")


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
