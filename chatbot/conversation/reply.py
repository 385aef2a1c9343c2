"""One reply on its way: waits for its turn, builds the context, generates, saves, settles.

Whatever ends it (its own end, a cancel, a fault, a stopping server) is stored before it is told.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from typing import Any, Literal

import structlog

from chatbot.conversation.context import Context, ContextTooLong, build_context, window_start_of
from chatbot.conversation.faults import as_protocol_error
from chatbot.conversation.past import Pasts
from chatbot.conversation.personas import Persona, Personas
from chatbot.conversation.stream import ResponseLog
from chatbot.engine.base import Delta, Engine, EngineError, Finish, GenerationRequest, Sampling
from chatbot.protocol.errors import ProtocolError, ServerFault
from chatbot.protocol.frames import storable
from chatbot.protocol.requests import ResponseCreate
from storage.errors import ContextOutdated, NotFound, StorageBusy, StorageError, StorageFull
from storage.records import INTERRUPTED, Response
from storage.store import Store

logger = structlog.get_logger(__name__)

_SAVE_RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Waits between attempts to store a finished reply on a full disk."""
CRASHED = ServerFault("server_error", "the server failed on this turn; it can be sent again")


@dataclasses.dataclass(frozen=True, slots=True)
class ReplyLimits:
    """The settings that replies need."""

    max_output_tokens: int
    temperature: float
    checkpoint_s: float
    recall_tokens: int

    def budget_tokens(self, request: ResponseCreate, window_tokens: int) -> int:
        """Return the prompt's share of the window: all but the reply's, which is half of it at most."""
        return window_tokens - min(request.max_output_tokens or self.max_output_tokens, window_tokens // 2)


@dataclasses.dataclass(frozen=True, slots=True)
class Backend:
    """What a turn works with."""

    store: Store
    engine: Engine
    personas: Personas
    limits: ReplyLimits
    pasts: Pasts = dataclasses.field(default_factory=Pasts)


class Reply:
    """A response between its acknowledgement and its end."""

    def __init__(
        self,
        response: Response,
        request: ResponseCreate,
        persona: Persona,
        system: str,
        queue_position: int,
    ) -> None:
        self.log = ResponseLog(response, partial(self.stop, "cancelled") if request.store is False else None)
        """What is not stored ends with its last reader: nobody could ever read it later."""
        self.request = request
        self.persona = persona
        self.system = system
        self.queue_position = queue_position
        """How many turns of the conversation were ahead when this one was accepted."""
        self._task: asyncio.Task[Any] | None = None
        self._stopped_as: Literal["cancelled", "incomplete"] | None = None
        self._is_settling = False
        self._waits_no_longer = asyncio.Event()
        self.unstored: Callable[[], Awaitable[object]] | None = None
        """Stores the end, if that could not be done in time."""

    def stop(self, ends_as: Literal["cancelled", "incomplete"]) -> None:
        """End the reply at the engine's next step and keep its text. Only the first call counts.

        One that ends as incomplete ends with the server, which does not wait for room on a full disk either.
        """
        if ends_as == "incomplete":
            self._waits_no_longer.set()
        if self._stopped_as is None and not self._is_settling:
            self._stopped_as = ends_as
            if self._task is not None:
                self._task.cancel()

    async def run(self, lane: AbstractAsyncContextManager[None], backend: Backend) -> Response:
        """Run the reply to its end and return it as stored. The log is left open for the caller to close."""
        self._task = asyncio.current_task()
        async with AsyncExitStack() as holding:  # the lane is held until the end is stored: the next turn reads it
            end = await self._reach_end(holding, lane, backend)
            self._is_settling = True
            return await self._settle(backend.store, end)

    async def _reach_end(
        self, holding: AsyncExitStack, lane: AbstractAsyncContextManager[None], backend: Backend
    ) -> dict[str, Any]:
        """Return how the reply ended, as the fields of its row."""
        try:
            if self._stopped_as:
                raise asyncio.CancelledError
            await holding.enter_async_context(lane)
            return await self._generate_saving(backend)
        except asyncio.CancelledError:
            reason = INTERRUPTED if self._stopped_as == "incomplete" else None
            return {"state": self._stopped_as or "cancelled", "incomplete_reason": reason}
        except ProtocolError as error:
            return _failure(error)
        except (EngineError, StorageError, ContextTooLong) as error:
            logger.warning("turn failed", response_id=self.log.response.id, fault=type(error).__name__)
            return _failure(as_protocol_error(error))
        except Exception:
            # The worker's edge: whatever went wrong ends this turn and no other.
            logger.exception("turn crashed", response_id=self.log.response.id)
            return _failure(CRASHED)

    async def _generate_saving(self, backend: Backend) -> dict[str, Any]:
        """Generate while another task saves what has been streamed so far."""
        saver = asyncio.create_task(self._save_regularly(backend.store, backend.limits.checkpoint_s))
        try:
            return await self._generate(backend)
        finally:
            saver.cancel()
            with suppress(asyncio.CancelledError):
                await saver

    async def _generate(self, backend: Backend) -> dict[str, Any]:
        await backend.engine.wait_loaded()
        async with backend.personas.loaded(self.persona) as adapter:
            return await self._generate_as(backend, adapter)

    async def _generate_as(self, backend: Backend, adapter: str | None) -> dict[str, Any]:
        context = await self._start(backend, adapter)
        request = GenerationRequest(
            session=self.log.response.conversation_id,
            messages=context.messages,
            sampling=_sampling(self.request, self.persona, backend.limits),
            adapter=adapter,
            user=self.request.asks_for,
            is_stateless=self.request.is_stateless,
            has_place=True,
        )
        async for event in backend.engine.generate(request):
            if isinstance(event, Delta):
                self.log.add(storable(event.text))
            else:
                return _finished(event)
        raise ServerFault("generation_failed", "the engine ended without a finish")

    async def _start(self, backend: Backend, adapter: str | None) -> Context:
        """Build the context and store it; build it again if a message that it shows was deleted meanwhile.

        The caller hands it to the engine before it waits for anything: who deletes a message after this was stored
        then finds it there to be forgotten.
        """
        while True:
            context = await self._context(backend)
            record = {**context.record(), "adapter": adapter, "persona_version": self.persona.version}
            with suppress(ContextOutdated):
                await backend.store.start_response(self.log.response.id, record)
                self.log.begin(record)
                return context

    async def _context(self, backend: Backend) -> Context:
        store, engine, response = backend.store, backend.engine, self.log.response
        newest = response.input_item_ids[-1]
        past = backend.pasts.take(response.conversation_id)
        past.path = await store.path(response.conversation_id, newest, past.path)
        previous = await store.last_context(response.conversation_id, newest)
        context = await asyncio.to_thread(  # a long prompt takes a while to count
            build_context,
            self.system,
            past.path.items,
            budget_tokens=backend.limits.budget_tokens(self.request, engine.base.context_tokens),
            count_tokens=engine.count_tokens,
            window_start=window_start_of(previous),
            recall_tokens=backend.limits.recall_tokens,
            said=past.said,
        )
        backend.pasts.keep(response.conversation_id, past)
        return context

    async def _save_regularly(self, store: Store, checkpoint_s: float) -> None:
        saved = 0
        while True:
            await asyncio.sleep(checkpoint_s)
            lengths = self.log.delta_lengths
            if len(lengths) > saved:
                with suppress(StorageError):  # the end of the turn tries again, and tells
                    await store.checkpoint(self.log.response.id, self.log.text, lengths)
                    saved = len(lengths)

    async def _settle(self, store: Store, end: dict[str, Any]) -> Response:
        """Store the end. On a full disk keep trying for a while, then tell the truth: it is not stored."""
        log = self.log
        for wait_s in (*_SAVE_RETRY_S, None):
            try:
                return await self._store_end(store, end)
            except (StorageFull, StorageBusy) as passing:
                error: Exception = passing
                if wait_s is None or self._waits_no_longer.is_set():
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._waits_no_longer.wait(), wait_s)
            except Exception as broken:
                error = broken
                break
        logger.error("reply not stored", response_id=log.response.id, fault=type(error).__name__)
        if not isinstance(error, NotFound):  # else it was deleted, and there is nothing to store
            self.unstored = partial(self._store_end, store, end)
        return self.failed(as_protocol_error(error))

    def failed(self, error: ProtocolError = CRASHED) -> Response:
        """Return the reply as its readers are told of it where its end is not stored."""
        log = self.log
        return dataclasses.replace(log.response, text=log.text, delta_lengths=log.delta_lengths, **_failure(error))

    async def _store_end(self, store: Store, end: dict[str, Any]) -> Response:
        log = self.log
        return await store.finish_response(log.response.id, text=log.text, delta_lengths=log.delta_lengths, **end)


def _sampling(request: ResponseCreate, persona: Persona, limits: ReplyLimits) -> Sampling:
    """Return what the request asks for, else what the persona likes, else the server's defaults."""
    asked = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "min_p": request.min_p,
        "repetition_penalty": request.repetition_penalty,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": request.seed,
        "max_tokens": request.max_output_tokens,
    }
    defaults = {"temperature": limits.temperature, "max_tokens": limits.max_output_tokens}
    chosen = {name: value for name, value in asked.items() if value is not None}
    settings: dict[str, Any] = {**defaults, **persona.sampling, **chosen}
    return Sampling(**settings, stop=request.stop_strings)


def _finished(finish: Finish) -> dict[str, Any]:
    usage = dataclasses.asdict(finish.usage)
    if finish.reason == "stop":
        return {"state": "completed", "usage": usage}
    return {"state": "incomplete", "incomplete_reason": "max_output_tokens", "usage": usage}


def _failure(error: ProtocolError) -> dict[str, Any]:
    return {"state": "failed", "error_code": error.code, "error_message": storable(error.message)}
