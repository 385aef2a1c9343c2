"""A live server with scripted replies, plain clients for it, and a browser."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser import CHROMIUM, Page, chromium, page
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
    async with httpx.AsyncClient(base_url=url, timeout=10, verify=False) as client:
        yield client


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if CHROMIUM is None:
        pytest.skip("no Chromium; on Debian: apt install chromium")
    with chromium(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture
async def tab(browser: str) -> AsyncIterator[Page]:
    """A tab in which the page may throw nothing."""
    async with page(browser) as opened:
        yield opened
        assert opened.faults == []
