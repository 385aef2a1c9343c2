"""A real server on a free loopback port, inside the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from chatbot.engine.base import Engine
from chatbot.server.announcement import Announcement
from chatbot.server.run import serve
from chatbot.settings import Settings


@asynccontextmanager
async def live_server(home: Path, engine: Engine, *, is_background: bool = False, **changes: Any) -> AsyncIterator[str]:
    """Serve an engine and give the address; everything is closed at the end of the block."""
    settings = Settings(home=home, **{"port": 0, "drain_s": 1, "checkpoint_s": 0.01, **changes})
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, lambda: engine, stop, is_background=is_background))
    try:
        yield await _address(settings, serving)
    finally:
        stop.set()
        await serving


async def _address(settings: Settings, serving: "asyncio.Task[None]") -> str:
    announcement = Announcement(settings.state_dir)
    async with httpx.AsyncClient(verify=False) as http:
        while not serving.done():
            await asyncio.sleep(0.01)
            announced = announcement.read()
            if announced is not None:
                try:
                    await http.get(f"{announced.url}/health")
                except httpx.ConnectError:
                    continue
                return announced.url
    serving.result()
    raise AssertionError("the server ended before it answered")
