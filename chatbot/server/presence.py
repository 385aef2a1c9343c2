"""Whether anybody is here: open requests and sockets, and for how long there have been none."""

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send


class Presence:
    """Counts what is open. The clock is monotonic, in seconds."""

    def __init__(self) -> None:
        self._open = 0
        self._empty_since = time.monotonic()

    def enter(self) -> None:
        self._open += 1

    def leave(self) -> None:
        self._open -= 1
        self._empty_since = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the last client left; 0 while one is here."""
        return 0.0 if self._open else time.monotonic() - self._empty_since

    async def wait_idle(self, limit_s: float) -> None:
        """Return once nobody has been here for so long."""
        while True:
            left_s = limit_s - self.idle_s
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)


class PresenceMiddleware:
    """ASGI middleware that counts requests and sockets from their start to their end."""

    def __init__(self, app: ASGIApp, presence: Presence) -> None:
        self._app = app
        self._presence = presence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        self._presence.enter()
        try:
            await self._app(scope, receive, send)
        finally:
            self._presence.leave()
