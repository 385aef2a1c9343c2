"""The engine in this process: any transformers causal LM, its KV kept per conversation, adapters mixed in one batch.

Three threads: the caller's event loop, one that renders prompts, one that computes. Each has its own tokenizer.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

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
from chatbot.engine.checkpoint import locate, read_context_tokens
from chatbot.engine.detokenize import ReplyText
from chatbot.engine.digest import model_digest
from chatbot.engine.generation import Event, Generation
from chatbot.engine.heartbeat import Clock
from chatbot.engine.kv_entry import KVKind
from chatbot.engine.kv_files import KVFile
from chatbot.engine.kv_tiers import MIB, KVTiers, open_tiers
from chatbot.engine.machine import cores
from chatbot.engine.prefill_budget import PrefillBudget
from chatbot.engine.runner import Runner
from chatbot.engine.sampling import RowSampler
from chatbot.engine.template import ChatTemplate
from chatbot.engine.watchdog import Watchdog
from chatbot.engine.worker import STOPPED, Deliver, Worker

MOST_CONTEXT_TOKENS = 8192
"""Context by default even where the model has more: KV memory grows with it."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(slots=True)
class _Loaded:
    """All that exists between start and stop."""

    base: BaseModel
    runner: Runner
    tiers: KVTiers
    worker: Worker
    render_thread: ThreadPoolExecutor
    counting: ChatTemplate
    """For the event loop's thread."""
    rendering: ChatTemplate
    """For the rendering thread."""
    replying: ChatTemplate
    """For the computing thread."""
    make_worker: Callable[[Runner], Worker]


class LocalEngine:
    """Serves one base model from a directory or a hub name. Implements `chatbot.engine.base.Engine`."""

    def __init__(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        slots: int = 32,
        context_tokens: int | None = None,
        threads: int | None = None,
        max_waiting: int = 64,
        prefill_s: float = 0.05,
        prefill_tokens: int = 2048,
        stuck_after_s: float = 60.0,
        clock: Clock = time.monotonic,
        speculative: bool = True,
        kv_host_mib: int = 512,
        kv_disk_mib: int = 1024,
        kv_dir: Path | None = None,
        ignore_end: bool = False,
    ) -> None:
        """Name the model and its limits; nothing is loaded before `start`.

        device: "auto" takes CUDA where there is one.
        dtype: "auto" is bfloat16 on CUDA and float32 on a CPU.
        slots: conversations whose KV is kept, which is also how many run at once; fewer if memory is short.
        context_tokens: at most what the model can see; by default that, but no more than 8192.
        threads: by default one less than the cores, so that the event loop has one to itself.
        max_waiting: generations that may wait for a slot before EngineBusy.
        prefill_s: longest time that a step spends on prompts while replies are being streamed.
        prefill_tokens: most prompt tokens in a step, however fast they are; bounds the memory that a step takes.
        stuck_after_s: a step that takes longer is taken for stuck, and the computing thread is replaced.
        clock: what the steps are timed with for that.
        speculative: text that may repeat what was said is drafted and verified, where that is measured to be faster.
        kv_host_mib: memory for the KV of conversations that have no slot at the moment.
        kv_disk_mib: space in `kv_dir` for what has no room in memory, and for everything between two runs.
        kv_dir: without one, no KV is written to disk.
        ignore_end: every reply goes on to its max_tokens; for benchmarks.
        """
        self._model = model
        self._name = name or (model if isinstance(model, str) else model.name)
        self._device = _device(device)
        self._dtype = _dtype(dtype, self._device)
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = threads or max(1, cores() - 1)
        self._max_waiting = max_waiting
        self._prefill_s = prefill_s
        self._prefill_tokens = prefill_tokens
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._speculative = speculative
        self._kv_host_mib = kv_host_mib
        self._kv_disk_mib = kv_disk_mib
        self._kv_dir = kv_dir
        self._ignore_end = ignore_end
        self._adapters: dict[str, LoraAdapter] = {}
        self._queues: dict[Generation, asyncio.Queue[Event]] = {}
        self._loaded: _Loaded | None = None
        self._watchdog: Watchdog | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def base(self) -> BaseModel:
        """The model that is served; only after `start`."""
        return self._running().base

    async def start(self) -> None:
        """Load the model. Raises ModelNotFound."""
        loop = asyncio.get_running_loop()
        loaded = await asyncio.to_thread(self._load, loop)
        loaded.worker.start()
        self._loaded = loaded
        self._watchdog = Watchdog(
            loaded.worker, self._replace_worker, stuck_after_s=self._stuck_after_s, clock=self._clock
        )
        self._watching = asyncio.create_task(self._watchdog.watch())

    async def stop(self) -> None:
        """End all generations and free the model; a second stop does nothing."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await self._stop_watching()
            loaded.render_thread.shutdown(wait=False)
            await asyncio.to_thread(loaded.worker.stop)
            self._fail_all(STOPPED)
            await asyncio.to_thread(loaded.tiers.close)
        self._adapters.clear()

    def health(self) -> Health:
        """Say whether generations asked for now would be answered."""
        if self._watchdog is None:
            return Health(False, "the engine is not running")
        return self._watchdog.health()

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Return the length of the prompt these messages make, the opening of the reply included."""
        return len(self._running().counting.render(messages))

    async def load_adapter(self, folder: Path) -> str:
        """Make a LoRA adapter usable and return its content digest. Raises AdapterRejected."""
        loaded = self._running()
        adapter = await asyncio.to_thread(
            read_adapter,
            folder,
            loaded.runner.linears,
            base_digest=loaded.base.digest,
            dtype=self._dtype,
            device=self._device,
        )
        self._adapters.setdefault(adapter.digest, adapter)
        loaded.worker.keep_adapters(set(self._adapters))
        return adapter.digest

    async def unload_adapter(self, digest: str) -> None:
        """Refuse new generations with this adapter; running ones end with it, then it is freed."""
        if self._adapters.pop(digest, None) is not None:
            self._running().worker.keep_adapters(set(self._adapters))

    async def forget(self, session: str) -> None:
        """Drop all KV of a conversation, in slots, memory and files; what still runs in it leaves none behind."""
        await asyncio.to_thread(self._running().worker.forget, session)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Stream one reply. Raises PromptTooLong, AdapterUnknown, EngineBusy or GenerationFailed."""
        loaded = self._loaded
        if loaded is None:
            raise GenerationFailed(STOPPED)
        adapter = self._adapter(request.adapter)
        prompt, file = await _render(loaded, request)
        generation = self._admit(loaded, request, prompt, adapter)
        queue = self._queues[generation] = asyncio.Queue()
        try:
            if file is not None:
                await asyncio.to_thread(loaded.tiers.read_ahead, file)
            loaded.worker.submit(generation)
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

    def _admit(
        self, loaded: _Loaded, request: GenerationRequest, prompt: list[int], adapter: LoraAdapter | None
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
            user=request.user,
            prompt=prompt,
            max_tokens=max(1, min(sampling.max_tokens, room)),
            digest=request.adapter,
            adapter=adapter,
            sampler=RowSampler(sampling, prompt),
            text=ReplyText(loaded.replying.detokenizer(), sampling.stop),
        )

    def _adapter(self, digest: str | None) -> LoraAdapter | None:
        if digest is None:
            return None
        if digest not in self._adapters:
            raise AdapterUnknown(f"adapter {digest[:12]} is not loaded")
        return self._adapters[digest]

    def _running(self) -> _Loaded:
        if self._loaded is None:
            raise RuntimeError("the engine is not running; await start() first")
        return self._loaded

    def _load(self, loop: asyncio.AbstractEventLoop) -> _Loaded:
        folder = locate(self._model)
        context = min(self._context_tokens or MOST_CONTEXT_TOKENS, read_context_tokens(folder))
        template = ChatTemplate(folder)
        runner = Runner(folder, slots=self._slots, context_tokens=context, device=self._device, dtype=self._dtype)
        base = BaseModel(self._name, model_digest(folder), context)
        end_ids = frozenset() if self._ignore_end else template.end_ids | runner.end_ids
        tiers = self._open_tiers(runner, base)
        deliver = partial(_hand_over, loop, self._receive)
        make_worker = partial(self._make_worker, end_ids, tiers, deliver)
        return _Loaded(
            base,
            runner,
            tiers,
            make_worker(runner),
            ThreadPoolExecutor(1, "chatbot-render"),
            counting=template,
            rendering=ChatTemplate(folder),
            replying=ChatTemplate(folder),
            make_worker=make_worker,
        )

    def _make_worker(self, end_ids: frozenset[int], tiers: KVTiers, deliver: Deliver, runner: Runner) -> Worker:
        parity = runner.attention_parity
        return Worker(
            runner,
            PrefillBudget(parity, prefill_s=self._prefill_s, prefill_tokens=self._prefill_tokens),
            end_ids=end_ids,
            max_waiting=self._max_waiting,
            threads=self._threads,
            speculative=self._speculative,
            tiers=tiers,
            deliver=deliver,
            clock=self._clock,
        )

    async def _replace_worker(self, why: str) -> Worker:
        """Fail what runs, leave the worker to itself, and start one that shares nothing with it but the weights."""
        loaded = self._running()
        has_ended = not loaded.worker.is_alive
        loaded.worker.retire(why)
        self._fail_all(why)
        loaded.runner = await asyncio.to_thread(loaded.runner.renewed, keeps_kv=has_ended)
        loaded.worker = loaded.make_worker(loaded.runner)
        loaded.worker.keep_adapters(set(self._adapters))
        loaded.worker.start()
        return loaded.worker

    async def _stop_watching(self) -> None:
        watching, self._watching, self._watchdog = self._watching, None, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _fail_all(self, why: str) -> None:
        """End every generation, whatever the computing thread still does; those that have ended do not hear of it."""
        for queue in self._queues.values():
            queue.put_nowait(GenerationFailed(why))

    def _open_tiers(self, runner: Runner, base: BaseModel) -> KVTiers:
        layout = runner.network.kv_layout
        kind = KVKind.of(runner.kv, base=base.digest, layout=layout, vocabulary=runner.vocabulary)
        host_bytes, disk_bytes = self._kv_host_mib * MIB, self._kv_disk_mib * MIB
        return open_tiers(runner.kv, kind, host_bytes=host_bytes, disk_bytes=disk_bytes, folder=self._kv_dir)

    def _receive(self, events: list[tuple[Generation, Event]]) -> None:
        """Put a step's events into the queues of those still listening. Runs in the event loop."""
        for generation, event in events:
            if queue := self._queues.get(generation):
                queue.put_nowait(event)


async def _render(loaded: _Loaded, request: GenerationRequest) -> tuple[list[int], KVFile | None]:
    """Render in the rendering thread, and return the prompt and the KV file that is worth reading for it, if any is.

    Raises GenerationFailed if the template refuses or the engine was stopped.
    """

    def render() -> tuple[list[int], KVFile | None]:
        prompt = loaded.rendering.render(request.messages)
        resident = loaded.worker.resident(prompt, request.adapter)
        return prompt, loaded.tiers.worth_reading(prompt, request.adapter, resident)

    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(loaded.render_thread, render)
    except RuntimeError as error:
        raise GenerationFailed(f"the prompt could not be rendered: {error}") from error


Receive = Callable[[list[tuple[Generation, Event]]], None]


def _hand_over(loop: asyncio.AbstractEventLoop, receive: Receive, events: list[tuple[Generation, Event]]) -> None:
    """Call `receive` in the loop; if the loop is closed, nobody listens any more."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(receive, events)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return DTYPES[name]
