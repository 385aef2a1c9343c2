"""A live server with scripted replies, and plain clients for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fake_engine import FakeEngine
from tests.live_server import live_server


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def url(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[str]:
    async with live_server(tmp_path, engine) as address:
        yield address


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        yield client
