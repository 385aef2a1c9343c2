"""One WebSocket that comes back by itself, with jittered backoff, for as long as patience lasts.

Invariant: `on_live` runs once per new socket, before any frame of that socket is read; whatever must
survive a dropped socket (unacknowledged sends, running replies) is said again there.
"""

import asyncio
import contextlib
import json
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode

from chatbot.client.errors import ChatbotError, ClientClosed, ServerUnreachable, rejection
from chatbot.client.reply import Event
from chatbot.protocol.frames import write_object

ConnectionState = Literal["idle", "connecting", "live", "lost", "ended"]
"""A lost server is tried again and again; once that has ended, not before there is something to send."""
Ensure = Callable[[], Awaitable[str]]

OPEN_TIMEOUT_S = 10.0
STABLE_S = 5.0
"""A socket that lived this long was of use even if nothing came, and the next one is opened at once."""
MAX_FRAME_BYTES = 16 * 1024 * 1024


def is_local(url: str) -> bool:
    """Whether an address leads to this machine, past every proxy; `0.0.0.0` is what a server for all announces."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting times between attempts: doubling, with jitter, up to a ceiling."""

    first_s: float = 0.25
    ceiling_s: float = 8.0

    def delays(self) -> Iterator[float]:
        """Yield the waits for ever; jitter keeps many clients from returning in step."""
        delay = self.first_s
        while True:
            yield delay * random.uniform(0.5, 1.0)
            delay = min(delay * 2, self.ceiling_s)


class Connection:
    """Keeps a socket to `url` alive once started, and reports frames and changes of state."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        ensure: Ensure | None,
        patience_s: float | None,
        backoff: Backoff,
        on_live: Callable[[], None],
        on_event: Callable[[Event], None],
        on_state: Callable[[ConnectionState], None],
        on_gone: Callable[[ChatbotError], None],
        on_too_large: Callable[[], None],
    ) -> None:
        """`on_too_large` is called when the server closed a socket because of the size of a frame."""
        self.url = url
        self.state: ConnectionState = "idle"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._ensure = ensure
        self._patience_s = math.inf if patience_s is None else patience_s
        self._backoff = backoff
        self._on_live, self._on_event = on_live, on_event
        self._on_state, self._on_gone, self._on_too_large = on_state, on_gone, on_too_large
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._live = asyncio.Event()
        self.ended_by: ChatbotError | None = None
        """What ended the newest attempts that were given up."""
        self._is_closed = False
        self._lasted = False
        """Whether the newest socket was open for longer than a moment."""

    def start(self) -> None:
        """Begin to connect, unless that is under way. Raises ClientClosed."""
        if self._is_closed:
            raise ClientClosed
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def wait_live(self) -> None:
        """Return when a socket is open, or was for a moment; raise what ended the attempts otherwise."""
        self.start()
        assert self._task is not None
        waiter = asyncio.create_task(self._live.wait())
        try:
            await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if not waiter.done():  # not the event itself: a socket may have come and gone before this task runs
                raise self.ended_by or ClientClosed
        finally:
            waiter.cancel()

    async def send(self, event: Event) -> bool:
        """Send a frame; False when there is no socket (then `on_live` comes later)."""
        if self._socket is None:
            self.start()
            return False
        try:
            await self._socket.send(write_object(event))
        except ConnectionClosed:
            return False
        return True

    async def close(self) -> None:
        """Close the socket and stop trying, for good."""
        self._is_closed = True
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ChatbotError):
                await self._task

    async def _run(self) -> None:
        """Connect, serve, and connect again; ends only by `close()` or when patience runs out."""
        self._announce("connecting")
        try:
            await self._keep_alive()
        except ChatbotError as error:
            self._give_up(error)
        except Exception as bug:
            self._give_up(ChatbotError(f"the connection broke: {bug!r}"))
            raise

    async def _keep_alive(self) -> None:
        """Return never; waits grow until a socket has lasted, and patience is used up until one was of use."""
        await self._find_first()
        clock = asyncio.get_running_loop().time
        delays, gives_up_at = self._backoff.delays(), math.inf
        while True:
            self._lasted = False
            problem = await self._attempt()
            self._announce("lost")
            if self._lasted:
                delays, gives_up_at = self._backoff.delays(), math.inf
                continue
            delay = next(delays)
            gives_up_at = math.inf if problem is None else min(gives_up_at, clock() + self._patience_s)
            if clock() + delay > gives_up_at:
                raise ServerUnreachable(f"no server answers at {self.url}") from problem
            await asyncio.sleep(delay)
            await self._ensure_server()

    async def _attempt(self) -> Exception | None:
        """Open a socket and serve it to its end; None when it was of use, else what was wrong."""
        try:
            socket = await self._connect()
        except InvalidStatus as refusal:
            if refusal.response.status_code in (401, 403, 404):
                raise _refused(refusal) from refusal
            return refusal
        except (OSError, TimeoutError, WebSocketException) as error:
            return error
        opened_at = asyncio.get_running_loop().time()
        async with socket:
            was_heard = await self._serve(socket)
        self._lasted = asyncio.get_running_loop().time() - opened_at > STABLE_S
        return None if was_heard or self._lasted else OSError("the server closed the socket at once")

    async def _connect(self) -> ClientConnection:
        base = self.url.rstrip("/").replace("http", "ws", 1)
        return await connect(
            f"{base}/v1/responses",
            additional_headers=self._headers,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            open_timeout=OPEN_TIMEOUT_S,
            proxy=None if is_local(self.url) else True,
        )

    async def _find_first(self) -> None:
        """Ask the owner for a server where no address is known yet; without one there is nothing to try."""
        if self.url or self._ensure is None:
            return
        try:
            self.url = await self._ensure()
        except Exception as error:
            raise ServerUnreachable(str(error)) from error

    async def _ensure_server(self) -> None:
        """Let the owner find or start a server; whatever goes wrong there costs only this attempt."""
        if self._ensure is not None:
            with contextlib.suppress(Exception):
                self.url = await self._ensure()

    async def _serve(self, socket: ClientConnection) -> bool:
        """Read a socket to its end; tell whether anything came."""
        was_heard = False
        self._socket = socket
        self._live.set()
        self._announce("live")
        self._on_live()
        try:
            async for frame in socket:
                was_heard = True
                self._on_event(json.loads(frame))
        except ConnectionClosed as closed:
            if closed.rcvd and closed.rcvd.code == CloseCode.MESSAGE_TOO_BIG:
                self._on_too_large()
        finally:
            self._socket = None
            self._live.clear()
        return was_heard

    def _give_up(self, error: ChatbotError) -> None:
        self.ended_by = error
        self._announce("ended")
        self._on_gone(error)

    def _announce(self, state: ConnectionState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)


def _refused(refusal: InvalidStatus) -> ChatbotError:
    """Read the error object in a refused handshake."""
    try:
        error = json.loads(refusal.response.body or b"")["error"]
    except (ValueError, KeyError, TypeError):
        error = {}
    return rejection(refusal.response.status_code, error)
