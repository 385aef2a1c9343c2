"""What exists between start and stop of an engine: weights, KV tiers, templates, and the worker that computes now.

A worker whose thread is stuck or dead is replaced by one that shares nothing with it but the weights and the tiers.
"""

import asyncio
import ctypes
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
import torch

from chatbot.engine.base import ChatMessage, GenerationFailed, ModelNotFound
from chatbot.engine.checkpoint import describe, locate
from chatbot.engine.compiled import library
from chatbot.engine.detokenize import ReplyText
from chatbot.engine.kv_entry import KVKind
from chatbot.engine.kv_tiers import MIB, KVTiers, ReadAhead, open_tiers
from chatbot.engine.model_settings import ModelSettings
from chatbot.engine.prefill_budget import PrefillBudget
from chatbot.engine.recent_prompts import RecentPrompts
from chatbot.engine.runner import Runner
from chatbot.engine.template import ChatTemplate
from chatbot.engine.watchdog import Watchdog
from chatbot.engine.worker import STOPPED, Deliver, Worker

log = structlog.get_logger()
FailAll = Callable[[str], None]
"""Ends every generation for the reason given, whatever the computing thread still does."""


class LoadedModel:
    """One model in memory and its current worker. Used from one event loop, but made in another thread."""

    def __init__(self, settings: ModelSettings, deliver: Deliver, fail_all: FailAll) -> None:
        """Load the model, which takes a while. Raises ModelNotFound."""
        self._settings = settings
        self._deliver = deliver
        self._fail_all = fail_all
        folder = locate(settings.model)
        self.base = settings.base or describe(folder, settings.shown_name, settings.context_tokens)
        context = self.base.context_tokens
        self._counting = ChatTemplate(folder)
        """For any thread that holds the lock."""
        self._counting_lock = threading.Lock()
        self.runner = Runner(
            folder,
            slots=settings.slots,
            context_tokens=context,
            device=settings.torch_device,
            dtype=settings.torch_dtype,
            precision=settings.matmul_precision,
            library=_library(settings),
        )
        if self._counting.largest_id >= self.runner.vocabulary:
            raise ModelNotFound(f"{folder}: {_beyond(self._counting.largest_id, self.runner.vocabulary)}")
        self._end_ids = frozenset() if settings.ignore_end else self._counting.end_ids | self.runner.end_ids
        self.tiers = self._open_tiers()
        self.worker = self._make_worker()
        self._kept_adapters: set[str] = set()
        self._render_thread = ThreadPoolExecutor(1, "chatbot-render")
        self._prompts = RecentPrompts(context)
        self._rendering = ChatTemplate(folder)
        """For the rendering thread."""
        self._replying = ChatTemplate(folder)
        """For the computing thread."""
        self.watchdog = Watchdog(
            self.worker,
            self._replace_worker,
            self._retire_worker,
            stuck_after_s=settings.stuck_after_s,
            clock=settings.clock,
        )
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let the worker compute and watch that it does."""
        self.worker.start()
        self._watching = asyncio.create_task(self.watchdog.watch())

    async def stop(self) -> None:
        """End all generations, and keep the KV of all conversations where there is room for it."""
        await self._stop_watching()
        self._render_thread.shutdown(wait=False)
        await asyncio.to_thread(self.worker.stop)
        self._fail_all(STOPPED)
        await asyncio.to_thread(self.tiers.close)

    def keep_adapters(self, digests: set[str]) -> None:
        """Say which adapters are loaded, also to workers to come."""
        self._kept_adapters = digests
        self.worker.keep_adapters(digests)

    def forget(self, session: str) -> None:
        """Drop all KV of a conversation, in slots, memory and files, and every prompt that is still at hand."""
        self._prompts.clear()
        self._counting.forget()
        self._rendering.forget()
        self.worker.forget(session)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Return the length of the prompt these messages make, the opening of the reply included."""
        with self._counting_lock:
            return len(self._prompts.ids(messages, self._counting.render))

    async def render(self, messages: Sequence[ChatMessage], adapter: str | None) -> tuple[list[int], ReadAhead | None]:
        """Render in the rendering thread; return the prompt and what KV is worth reading for it, if any is.

        Raises GenerationFailed if the template refuses, the model lacks a token, or the engine was stopped.
        """

        def render() -> tuple[list[int], ReadAhead | None]:
            prompt = self._prompts.ids(messages, self._rendering.render)
            if (largest := max(prompt, default=0)) >= self.runner.vocabulary:
                raise GenerationFailed(f"the prompt cannot be computed: {_beyond(largest, self.runner.vocabulary)}")
            resident = self.worker.resident(prompt, adapter)
            return prompt, self.tiers.worth_reading(prompt, adapter, resident)

        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._render_thread, render)
        except RuntimeError as error:
            raise GenerationFailed(f"the prompt could not be rendered: {error}") from error

    def reply_text(self, stop: Sequence[str]) -> ReplyText:
        """Return the still empty text of a reply, which the computing thread will fill."""
        return ReplyText(self._replying.detokenizer(), stop)

    def _open_tiers(self) -> KVTiers:
        settings, runner = self._settings, self.runner
        layout = runner.network.kv_layout
        if settings.matmul_precision != "highest":  # rounded on its way: exact replies must not go on from it
            layout = f"{layout}, {settings.matmul_precision}"
        kind = KVKind.of(runner.kv, base=self.base.digest, layout=layout, vocabulary=runner.vocabulary)
        host_bytes, disk_bytes = settings.kv_host_mib * MIB, settings.kv_disk_mib * MIB
        return open_tiers(runner.kv, kind, host_bytes=host_bytes, disk_bytes=disk_bytes, folder=settings.kv_dir)

    def _make_worker(self) -> Worker:
        settings, parity = self._settings, self.runner.attention_parity
        return Worker(
            self.runner,
            PrefillBudget(parity, prefill_s=settings.prefill_s, prefill_tokens=settings.prefill_tokens),
            end_ids=self._end_ids,
            threads=settings.computing_threads,
            speculative=settings.speculative,
            tiers=self.tiers,
            deliver=self._deliver,
            clock=settings.clock,
        )

    async def _replace_worker(self, why: str) -> Worker:
        """Fail what runs, leave the worker to itself, and start another."""
        has_ended = not self.worker.is_alive
        self._retire_worker(why)
        self.runner = await asyncio.to_thread(self.runner.renewed, keeps_kv=has_ended)
        self.tiers = self.tiers.over(self.runner.kv)
        self.worker = self._make_worker()
        self.worker.keep_adapters(self._kept_adapters)
        self.worker.start()
        return self.worker

    def _retire_worker(self, why: str) -> None:
        """Fail what runs and what is asked for from now on, and leave the worker to itself."""
        self.worker.retire(why)
        self._fail_all(why)

    async def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        # It knows how we replace a worker: in such a ring, the weights would stay until garbage is collected.
        del self.watchdog


def _beyond(largest_id: int, vocabulary: int) -> str:
    return (
        f"the tokenizer's token {largest_id} is none of the model's {vocabulary}; take the tokenizer of these weights"
    )


def _library(settings: ModelSettings) -> ctypes.CDLL | None:
    """Return the code compiled for this machine if it is wanted, there is any, and it is for models kept so."""
    if not settings.compiled or settings.torch_device.type != "cpu" or settings.torch_dtype != torch.float32:
        return None
    try:
        return library.load(settings.compiled_dir)
    except library.NotCompiled as reason:
        log.info("engine.not_compiled", reason=str(reason))
        return None
