"""A conversation with a real database, and an engine whose replies the test writes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.store import AdapterStore
from chatbot.conversation.personas import Personas
from chatbot.conversation.reply import Backend, ReplyLimits
from chatbot.conversation.turn import Turns
from storage.store import Store
from tests.fake_engine import FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "chats.db")
    yield opened
    await opened.close()


@pytest.fixture
async def turns(store: Store, engine: FakeEngine, tmp_path: Path) -> AsyncIterator[Turns]:
    personas = Personas(engine, AdapterStore([tmp_path / "adapters"]))
    limits = ReplyLimits(max_output_tokens=64, temperature=0.0, checkpoint_s=0.01, recall_tokens=600)
    running = Turns(Backend(store, engine, personas, limits), instructions="be kind", max_queued_turns=1)
    yield running
    await running.drain(0)
