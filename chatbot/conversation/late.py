"""What a full disk did not let happen in time is tried again until it is done."""

import asyncio
from collections.abc import Awaitable, Callable

RETRY_S = 8.0


async def go_on_trying(attempt: Callable[[], Awaitable[bool]]) -> None:
    """Wait and make an attempt, again and again until one returns that there is nothing left to do."""
    while True:
        await asyncio.sleep(RETRY_S)
        if await attempt():
            return
