"""A client and a server that drops, refuses and repeats as a test likes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatbot.client import (
    Backoff,
    Client,
)
from tests.tui.fake_server import FakeServer

QUICK = Backoff(0.001, 0.01)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as server:
        yield server


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with Client(server.url, backoff=QUICK) as client:
        yield client


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)
