"""The engine in this process: any transformers causal LM, its KV kept per conversation, adapters mixed in one batch.

Three threads: the caller's event loop, one that renders prompts, one that computes. Each has its own tokenizer.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Unpack

from chatbot.engine.adapter_files import LoraAdapter, read_adapter
from chatbot.engine.base import (
    AdapterUnknown,
    BaseModel,
    ChatMessage,
    Delta,
    EngineError,
    Finish,
    GenerationFailed,
    GenerationRequest,
    Health,
    PromptTooLong,
)
from chatbot.engine.generation import Event, Generation
from chatbot.engine.loaded_model import LoadedModel
from chatbot.engine.model_settings import ModelSettings, Options
from chatbot.engine.room import Room
from chatbot.engine.sampling import RowSampler
from chatbot.engine.worker import STOPPED, Deliver


@dataclass(slots=True, eq=False)
class _Rendering:
    """A request whose prompt is being rendered."""

    session: str
    leaves_kv: bool = True
    asked_at: float = field(default_factory=time.perf_counter)


class LocalEngine:
    """Serves one base model from a directory or a hub name. Implements `chatbot.engine.base.Engine`."""

    def __init__(self, model: str | Path, **options: Unpack[Options]) -> None:
        """Name the model and its limits (model_settings.py); nothing is loaded before `start`."""
        self._settings = ModelSettings(model, **options)
        self._room = Room(self._settings.slots, self._settings.max_waiting)
        self._adapters: dict[str, LoraAdapter] = {}
        self._keeping_adapters = asyncio.Lock()
        self._queues: dict[Generation, asyncio.Queue[Event]] = {}
        self._renderings: set[_Rendering] = set()
        self._loaded: LoadedModel | None = None

    @property
    def base(self) -> BaseModel:
        """The model that is served; only after `start`."""
        return self._running().base

    async def start(self) -> None:
        """Load the model. Raises ModelNotFound."""
        deliver = partial(_hand_over, asyncio.get_running_loop(), self._receive)
        loaded = await asyncio.to_thread(LoadedModel, self._settings, deliver, self._fail_all)
        loaded.start()
        self._loaded = loaded

    async def wait_loaded(self) -> None:
        """Return at once: `start` has loaded the model."""

    async def stop(self) -> None:
        """End all generations and free the model; a second stop does nothing."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await loaded.stop()
        self._adapters.clear()

    def health(self) -> Health:
        """Say whether generations asked for now would be answered."""
        if self._loaded is None:
            return Health("engine_failed", "the engine is not running")
        return self._loaded.watchdog.health()

    def place(self, user: str | None) -> contextlib.AbstractContextManager[None]:
        """Hold a place for one generation of this user inside the block. Raises EngineBusy if there is none."""
        return self._room.place(user)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Return the length of the prompt these messages make, the opening of the reply included."""
        return self._running().count_tokens(messages)

    async def load_adapter(self, folder: Path) -> str:
        """Make a LoRA adapter usable and return its content digest. Raises AdapterRejected."""
        loaded = self._running()
        adapter = await asyncio.to_thread(
            read_adapter,
            folder,
            loaded.runner.linears,
            base_digest=loaded.base.digest,
            dtype=self._settings.torch_dtype,
            device=self._settings.torch_device,
        )
        self._adapters.setdefault(adapter.digest, adapter)
        await self._keep_adapters()
        return adapter.digest

    async def unload_adapter(self, digest: str) -> None:
        """Refuse new generations with this adapter; running ones end with it, then it is freed."""
        if self._adapters.pop(digest, None) is not None:
            await self._keep_adapters()

    async def _keep_adapters(self) -> None:
        """Tell the worker which adapters there are: one at a time, or an older set might come last."""
        async with self._keeping_adapters:
            await asyncio.to_thread(self._running().keep_adapters, set(self._adapters))

    async def forget(self, session: str) -> None:
        """Drop all KV of a conversation, in slots, memory and files; what still runs in it leaves none behind."""
        begun: list[_Rendering | Generation] = [*self._renderings, *self._queues]
        for each in begun:
            if each.session == session:  # perhaps not with the worker yet
                each.leaves_kv = False
        await asyncio.to_thread(self._running().forget, session)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Stream one reply. Raises PromptTooLong, AdapterUnknown, EngineBusy or GenerationFailed."""
        loaded = self._loaded
        if loaded is None:
            raise GenerationFailed(STOPPED)
        adapter = self._adapter(request.adapter)
        with contextlib.nullcontext() if request.has_place else self.place(request.user):
            rendering = _Rendering(request.session)
            self._renderings.add(rendering)
            try:
                prompt, ahead = await loaded.render(request.messages, request.adapter)
            finally:
                self._renderings.remove(rendering)
            generation = self._admit(loaded, request, prompt, adapter)
            generation.leaves_kv, generation.asked_at = rendering.leaves_kv, rendering.asked_at
            queue = self._queues[generation] = asyncio.Queue()
            try:
                if ahead is not None:
                    await asyncio.to_thread(loaded.tiers.read_ahead, ahead)
                await asyncio.to_thread(loaded.worker.submit, generation)
                while True:
                    event = await queue.get()
                    if isinstance(event, EngineError):
                        raise event
                    yield event
                    if isinstance(event, Finish):
                        return
            finally:
                generation.is_cancelled = True
                del self._queues[generation]
                if ahead is not None:
                    loaded.tiers.let_go(ahead)

    def _admit(
        self, loaded: LoadedModel, request: GenerationRequest, prompt: list[int], adapter: LoraAdapter | None
    ) -> Generation:
        """Return the generation of a request, its length clipped to the context. Raises PromptTooLong."""
        room = loaded.base.context_tokens - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"the prompt has {len(prompt)} tokens; the context of {loaded.base.context_tokens} "
                "must have room for it and at least one more"
            )
        sampling = request.sampling
        return Generation(
            session=request.session,
            is_stateless=request.is_stateless,
            user=request.user,
            prompt=prompt,
            max_tokens=max(1, min(sampling.max_tokens, room)),
            digest=request.adapter,
            adapter=adapter,
            sampler=RowSampler(sampling, prompt),
            text=loaded.reply_text(sampling.stop),
        )

    def _adapter(self, digest: str | None) -> LoraAdapter | None:
        if digest is None:
            return None
        if digest not in self._adapters:
            raise AdapterUnknown(f"adapter {digest[:12]} is not loaded")
        return self._adapters[digest]

    def _running(self) -> LoadedModel:
        if self._loaded is None:
            raise RuntimeError("the engine is not running; await start() first")
        return self._loaded

    def _fail_all(self, why: str) -> None:
        """End every generation, whatever the computing thread still does; those that have ended do not hear of it."""
        for queue in self._queues.values():
            queue.put_nowait(GenerationFailed(why))

    def _receive(self, events: list[tuple[Generation, Event]]) -> None:
        """Put a step's events into the queues of those still listening. Runs in the event loop."""
        for generation, event in events:
            if queue := self._queues.get(generation):
                queue.put_nowait(event)


def _hand_over(loop: asyncio.AbstractEventLoop, receive: Deliver, events: list[tuple[Generation, Event]]) -> None:
    """Call `receive` in the loop; if the loop is closed, nobody listens any more."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(receive, events)
