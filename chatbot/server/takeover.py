"""A server that is started by hand takes the place of one that a client started in the background."""

import asyncio
import os
import signal
import time

import structlog

from chatbot.server.announcement import Announcement
from chatbot.settings import Settings
from storage.errors import StorageLocked

logger = structlog.get_logger(__name__)

POLL_S = 0.05
LATEST_S = 10.0
"""Time to close everything once its replies have ended."""


async def make_way(settings: Settings, locked: StorageLocked) -> bool:
    """Stop the background server that has the data and wait for its end; False if it is none, or does not end."""
    announced = Announcement(settings.state_dir).read()
    if announced is None or not announced.is_background or announced.pid != locked.holder:
        return False
    logger.info("taking the place of the server in the background", url=announced.url, pid=announced.pid)
    deadline = time.monotonic() + settings.drain_s + LATEST_S
    is_there = _signalled(announced.pid, signal.SIGTERM)
    while is_there and time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
        is_there = _signalled(announced.pid, 0)
    return not is_there


def _signalled(pid: int, number: int) -> bool:
    """Send a process a signal; False if it is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
