"""What every engine offers: messages, an adapter and sampling in; text deltas and one finish out.

Nothing here imports torch. An engine is used from one event loop and works elsewhere (a thread, a server).

Errors::

    EngineError
    ├── ModelNotFound      the model directory is missing or is no causal LM
    ├── DeviceNotFound     the GPU that is to compute is not there
    ├── ModelNotLoaded     the model is still being loaded, or could not be
    ├── PromptTooLong      the rendered prompt leaves no room in the context window
    ├── AdapterRejected    an adapter folder that cannot be trusted or does not fit the model
    ├── AdapterUnknown     a generation asks for an adapter that is not loaded
    ├── EngineBusy         the admission queue is full
    └── GenerationFailed   this request failed while it ran; others are not touched
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]


class EngineError(Exception):
    """Base of everything an engine raises on purpose."""


class ModelNotFound(EngineError):
    pass


class DeviceNotFound(EngineError):
    pass


class ModelNotLoaded(EngineError):
    pass


class PromptTooLong(EngineError):
    pass


class AdapterRejected(EngineError):
    pass


class AdapterUnknown(EngineError):
    pass


class EngineBusy(EngineError):
    pass


class GenerationFailed(EngineError):
    pass


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message as the chat template sees it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; `temperature=0` is greedy."""

    temperature: float = 0.7
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the smallest set of tokens, at least one, that reaches probability p (nucleus, Holtzman et al. 2020)."""
    min_p: float = 0.0
    """Drop tokens less likely than min_p times the likeliest."""
    repetition_penalty: float = 1.0
    """Divide positive and multiply negative logits of tokens already seen (CTRL, Keskar et al. 2019)."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    """Strings that end the reply; they are not part of it."""
    seed: int | None = None
    """Noise depends on (seed, position) alone, so a reply depends on its neighbours in a batch by rounding at most."""
    max_tokens: int = 512


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    session: str
    """Names the conversation branch whose KV may be reused by its next turn."""
    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    adapter: str | None = None
    """Content digest of a loaded adapter; None is the plain base model."""
    user: str | None = None
    """Who asks: users take turns. All that name nobody are one user."""
    is_stateless: bool = False
    """Whether the next request brings the whole chat again under another name: the KV then stays in its slot, for
    whoever begins alike, until that is taken, and is kept nowhere else."""
    has_place: bool = False
    """Whether whoever asks holds `Engine.place` until the end; otherwise the generation takes a place itself."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens whose KV was kept from an earlier turn and not computed again."""
    completion_tokens: int
    first_token_s: float
    """Seconds from the request to the first sampled token, rendering the prompt included."""
    total_s: float
    """Seconds from the request to the last token."""


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of the reply. Never empty, never half a UTF-8 character."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The last event of a generation."""

    reason: Literal["stop", "length"]
    usage: Usage


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The causal LM that an engine serves."""

    name: str
    digest: str
    """sha256 over config, tokenizer and weights; adapters name the base they were trained on by it."""
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an engine answers, and if not, why."""

    status: Literal["ready", "loading", "engine_failed"] = "ready"
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        return self.status == "ready"


class Engine(Protocol):
    @property
    def base(self) -> BaseModel: ...

    async def start(self) -> None:
        """Load the model, or begin to. Raises ModelNotFound."""

    async def wait_loaded(self) -> None:
        """Return once the model is loaded; generations asked for before that wait for it. Raises EngineError."""

    async def stop(self) -> None:
        """End all generations and free the model."""

    def health(self) -> Health:
        """Say whether generations asked for now would be answered. Costs nothing."""

    def place(self, user: str | None) -> AbstractContextManager[None]:
        """Hold a place for one generation of this user inside the block. Raises EngineBusy if there is none."""

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Return the length of the prompt these messages make, the opening of the reply included.

        Any thread may ask. Raises ModelNotLoaded.
        """

    async def load_adapter(self, folder: Path) -> str:
        """Make a LoRA adapter usable and return its content digest; loading it twice is free.

        Raises AdapterRejected and changes nothing if the folder is not a plain, fitting LoRA adapter.
        """

    async def unload_adapter(self, digest: str) -> None:
        """Free an adapter once no running generation uses it."""

    async def forget(self, session: str) -> None:
        """Drop the attention state of a conversation from memory and disk: it, or a message in it, was deleted."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Stream one reply. Closing the generator (or cancelling its task) frees the row at the next step.

        Raises PromptTooLong, AdapterUnknown, EngineBusy or GenerationFailed.
        """
