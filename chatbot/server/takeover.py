"""A server that is started by hand, or after an upgrade, takes the place of one that a client started."""

import asyncio
import contextlib
import os
import signal
import time

import structlog

from chatbot.server.announcement import Announcement
from chatbot.settings import Settings
from storage.errors import StorageLocked
from storage.lock import DatabaseLock

logger = structlog.get_logger(__name__)

POLL_S = 0.05
LATEST_S = 10.0
"""Time to close everything once its replies have ended."""


async def make_way(settings: Settings, locked: StorageLocked, *, is_background: bool) -> bool:
    """Stop the background server that has the data, and wait until it lets go; False if it is none, or does not.

    For one that `is_background` too only a server of an earlier edition is stopped.
    """
    announced = Announcement(settings.state_dir).read()
    if announced is None or not announced.is_background or announced.pid != locked.holder:
        return False
    if is_background and not announced.is_outdated:
        return False
    logger.info("taking the place of the server in the background", url=announced.url, pid=announced.pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(announced.pid, signal.SIGTERM)
    deadline = time.monotonic() + settings.drain_s + LATEST_S
    while time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
        if not DatabaseLock.is_held(settings.database_path):
            return True
    return False
