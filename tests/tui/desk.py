"""A real server with a scripted engine, and terminals that are opened on it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from chatbot.client import Client
from tests.fake_engine import FakeEngine, echo
from tests.live_server import live_server
from tests.tui.screens import until, until_shown
from tui.app import ChatApp


class Desk:
    """A server, and terminals that are opened on it."""

    def __init__(self, url: str, engine: FakeEngine, client: Client, opened: AsyncExitStack) -> None:
        self.url = url
        self.engine = engine
        self.client = client
        self._opened = opened

    async def terminal(self, conversation: str | None = None) -> Pilot[int]:
        """Open a terminal and wait until it is live."""
        app = ChatApp(self.url, conversation=conversation)
        app.animation_level = "none"
        pilot = await self._opened.enter_async_context(app.run_test(size=(110, 30), notifications=True))
        await until_shown(pilot, "live")
        await until(pilot, lambda: app.session.state.is_loaded)
        return pilot


@asynccontextmanager
async def opened_desk(home: Path, engine: FakeEngine | None = None) -> AsyncIterator[Desk]:
    """A desk for one test. No fixture: Textual's apps end in the context in which they began."""
    engine = engine or FakeEngine()
    async with live_server(home, engine) as url, AsyncExitStack() as opened, Client(url) as client:
        yield Desk(url, engine, client, opened)


def app(pilot: Pilot[int]) -> ChatApp:
    assert isinstance(pilot.app, ChatApp)
    return pilot.app


def counting() -> FakeEngine:
    """An engine that says which of its replies this is."""
    engine = FakeEngine()
    engine.reply = lambda request: [f"no{len(engine.requests)}: ", *echo(request)]
    return engine
