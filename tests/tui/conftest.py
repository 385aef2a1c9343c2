"""A fake server, and the app in a terminal of a given size."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual.pilot import Pilot

from tests.tui.fake_server import FakeServer
from tests.tui.screens import WAIT_S
from tui.app import ChatApp

OpenApp = Callable[..., AbstractAsyncContextManager[Pilot[int]]]


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes away by itself stays for as long as a test may wait for it."""
    monkeypatch.setattr(ChatApp, "NOTIFICATION_TIMEOUT", WAIT_S)
    monkeypatch.setattr("tui.leaving.QUIT_WINDOW_S", WAIT_S)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as server:
        yield server


@pytest.fixture
def open_app(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> OpenApp:
    """Open the client on the fake server; yields its pilot."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for name in ("TMUX", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    @asynccontextmanager
    async def opened(
        *, size: tuple[int, int] = (110, 30), conversation: str | None = None
    ) -> AsyncIterator[Pilot[int]]:
        app = ChatApp(server.url, conversation=conversation)
        app.animation_level = "none"
        async with app.run_test(size=size, notifications=True) as pilot:
            yield pilot

    return opened
