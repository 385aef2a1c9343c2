"""Everything a running server holds, opened and closed together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from adapters.store import AdapterStore
from chatbot.conversation.personas import Personas
from chatbot.conversation.reply import Backend, ReplyLimits
from chatbot.conversation.turn import Turns
from chatbot.engine.base import Engine
from chatbot.server.metrics import Metrics
from chatbot.settings import Settings
from storage.store import Store

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    store: Store
    engine: Engine
    personas: Personas
    turns: Turns
    metrics: Metrics


@asynccontextmanager
async def open_services(settings: Settings, make_engine: Callable[[], Engine]) -> AsyncIterator[Services]:
    """Open storage, have the model loaded, and mend what a crash left; close it all at the end.

    Raises StorageError or ModelNotFound.
    """
    store = await Store.open(settings.database_path)
    try:
        engine = await asyncio.to_thread(make_engine)
        await engine.start()
        try:
            await _mend(store, engine)
            services = _assemble(settings, store, engine)
            await services.personas.all()  # hashed before anybody can ask for them
            yield services
        finally:
            await engine.stop()
    finally:
        await store.close()


async def _mend(store: Store, engine: Engine) -> None:
    """Mark replies that a crash cut off, and forget those that were not to be stored."""
    interrupted = await store.interrupt_unfinished()
    if interrupted:
        logger.warning("replies were cut off by the last stop", count=len(interrupted))
    for response_id in await store.responses_not_to_be_kept():  # whether or not they came to their end
        response = await store.response(response_id)
        await engine.forget(response.conversation_id)
        await store.delete_response(response_id)


def _assemble(settings: Settings, store: Store, engine: Engine) -> Services:
    personas = Personas(engine, AdapterStore([settings.adapters_dir, settings.personas_dir]))
    limits = ReplyLimits(
        max_output_tokens=settings.max_output_tokens,
        temperature=settings.temperature,
        checkpoint_s=settings.checkpoint_s,
        recall_tokens=settings.recall_tokens,
    )
    metrics = Metrics()
    turns = Turns(
        Backend(store, engine, personas, limits),
        instructions=settings.instructions,
        max_queued_turns=settings.max_queued_turns,
        on_settled=metrics.note,
    )
    metrics.watch(turns, engine)
    return Services(settings, store, engine, personas, turns, metrics)
