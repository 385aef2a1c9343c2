"""What a property finds counts, not how long an example took: a busy machine stands still now and then."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog
from hypothesis import settings

from tests.examples import USUAL

settings.register_profile("unhurried", deadline=None, max_examples=USUAL)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("unhurried")

TICK_S = 0.01


def pytest_collection_finish() -> None:
    """Leave what all tests need, hundreds of thousands of objects by now, out of later looks for what none needs."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Undo afterwards what a command says about where log lines go."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(autouse=True, scope="session")
def _servers_that_stop_at_once() -> Iterator[None]:
    """Uvicorn looks ten times a second whether to stop, and then for who is left: too seldom for hundreds of tests."""

    async def sleep(delay_s: float) -> None:
        await asyncio.sleep(min(delay_s, TICK_S))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uvicorn.server.asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
        yield
