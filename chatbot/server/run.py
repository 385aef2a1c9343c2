"""A server from start to stop: bind, load, announce, serve, drain."""

import asyncio
import errno
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
import uvicorn

from chatbot.conversation.turn import Turns
from chatbot.engine.base import Engine, EngineError
from chatbot.server.announcement import Announced, Announcement
from chatbot.server.app import create_app
from chatbot.server.edition import edition
from chatbot.server.presence import Presence
from chatbot.server.services import Services, open_services
from chatbot.server.takeover import make_way
from chatbot.server.wire import BoundedWebSocketProtocol
from chatbot.settings import Settings
from storage.errors import StorageLocked
from storage.store import Store

logger = structlog.get_logger(__name__)

IDLE_CHECK_S = 1.0
FORCE_CHECK_S = 0.2
LAST_LOOK_S = 2.0
"""Time for a client to come and hear why a server in the background, which it has just started, cannot answer."""
LAST_EVENTS_S = 0.1
"""Time for the closing events of drained replies to reach their readers."""


class CannotServe(Exception):
    """The server cannot start as it was told to."""


class DrainingServer(uvicorn.Server):
    """A uvicorn server that lets running replies end before it closes their sockets."""

    def __init__(self, config: uvicorn.Config, turns: Turns, drain_s: float) -> None:
        super().__init__(config)
        self._turns = turns
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.create_task(self._turns.drain(self._drain_s))
        while not draining.done():
            await asyncio.wait([draining], timeout=FORCE_CHECK_S)
            if self.force_exit:  # a second interrupt: whoever asked is not willing to wait
                await self._turns.drain(0)
        if draining.result():
            await asyncio.sleep(LAST_EVENTS_S)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM; unlike uvicorn's own, return afterwards, so that storage is closed."""
        handled = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


async def serve(
    settings: Settings,
    make_engine: Callable[[], Engine],
    stop: asyncio.Event | None = None,
    *,
    is_background: bool = False,
) -> None:
    """Serve until a signal, until `stop` is set, or until idle for `idle_exit_s`.

    One in the background, which a client started, makes way for one that is not, or that is of a later edition. The
    engine is made in another thread once nobody else is known to have the data, and loads its model while others are
    served already.

    Raises CannotServe, CannotAnnounce, StorageError or ModelNotFound before anything is served. While it was, raises
    StorageBroken when the disk failed and EngineError when the model cannot be loaded; in the background only once
    nobody is here, for its clients are told so by every reply.
    """
    with bind(settings) as bound:
        check_exposure(settings, bound.getsockname()[0])
        announced = Announced(_url(bound), os.getpid(), is_background, edition())
        while True:
            try:
                async with open_services(settings, make_engine) as services:
                    await _announce_and_serve(bound, services, announced, stop or asyncio.Event())
                break
            except StorageLocked as locked:
                if not await make_way(settings, locked, is_background=is_background):
                    raise
    logger.info("stopped")


def check_exposure(settings: Settings, address: str) -> None:
    """Refuse to serve strangers without a key; `address` is the one that is bound. Raises CannotServe."""
    if not ipaddress.ip_address(address).is_loopback and settings.api_key is None:
        message = f"{settings.host} can be reached from other machines, so a key is needed"
        raise CannotServe(f"{message}; try: CHATBOT_API_KEY=… chatbot serve --host {settings.host}")


def bind(settings: Settings) -> socket.socket:
    """Return a socket bound to the address of the settings; nobody can connect yet. Raises CannotServe.

    It says that it is of TCP, or asyncio would not have what it accepts send at once: each token would wait for the
    receipt of the one before, up to 40 ms.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as error:  # the latter for a name that no machine can have
        bound.close()
        raise CannotServe(f"cannot bind to {settings.host}:{settings.port}: {_why_not(error)}") from None
    return bound


def _why_not(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError | socket.gaierror):
        return "there is no such address; expected one of this machine, such as 127.0.0.1 or localhost"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the address is not one of this machine; 0.0.0.0 stands for all that are"
    return f"{error.strerror}; try: --port 0"


async def _announce_and_serve(
    bound: socket.socket, services: Services, announced: Announced, stop: asyncio.Event
) -> None:
    with Announcement(services.settings.state_dir).made(announced):
        logger.info("serving", url=announced.url, model=services.engine.base.name)
        await _serve_on(bound, services, stop, is_background=announced.is_background)


async def _serve_on(bound: socket.socket, services: Services, stop: asyncio.Event, *, is_background: bool) -> None:
    settings = services.settings
    presence = Presence()
    config = uvicorn.Config(
        create_app(services, presence),
        ws=BoundedWebSocketProtocol,
        ws_max_size=4 * settings.max_message_bytes,  # up to here a frame is answered and the socket lives on
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = DrainingServer(config, services.turns, settings.drain_s)
    watching = [
        asyncio.create_task(_stop_when_told(server, stop, presence, services)),
        asyncio.create_task(_stop_when_broken(server, services.store)),
        asyncio.create_task(_stop_unless_loaded(server, services.engine, presence if is_background else None)),
    ]
    try:
        await server.serve(sockets=[bound])
    finally:
        for task in watching:
            task.cancel()
        outcomes = await asyncio.gather(*watching, return_exceptions=True)
    for fault in outcomes:
        if isinstance(fault, Exception):
            raise fault


async def _stop_when_broken(server: uvicorn.Server, store: Store) -> None:
    """Storage that failed acknowledges nothing more: going on would only lose what people say."""
    fault = await store.wait_until_broken()
    logger.error("stopping, storage is broken", fault=str(fault))
    server.should_exit = True
    raise fault


async def _stop_unless_loaded(server: uvicorn.Server, engine: Engine, presence: Presence | None) -> None:
    """Without its model a server is of use only to those of `presence`, who can read what was said."""
    try:
        await engine.wait_loaded()
        logger.info("the model is loaded", model=engine.base.name)
    except EngineError as fault:
        if presence is not None:
            logger.error("stopping once nobody is here, there is no model", fault=str(fault))
            await presence.wait_idle(LAST_LOOK_S)
        server.should_exit = True
        raise


async def _stop_when_told(server: uvicorn.Server, stop: asyncio.Event, presence: Presence, services: Services) -> None:
    limit_s = services.settings.idle_exit_s
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), None if limit_s is None else min(IDLE_CHECK_S, limit_s))
        if limit_s is not None and presence.idle_s > limit_s and services.turns.running_count == 0:
            logger.info("stopping, nobody is here", idle_s=round(presence.idle_s))
            break
    server.should_exit = True


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
