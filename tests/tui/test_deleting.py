"""What is deleted is gone, here and at the server, whatever was on its way."""

import pytest

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.held import held
from tests.tui.screens import chat_app, say, until, until_shown


@pytest.mark.parametrize("told", ["before its maker is answered", "later"])
async def test_a_chat_that_is_deleted_while_it_is_made_leaves_nothing(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        session = chat_app(pilot.app).session
        await until(pilot, lambda: session.state.is_loaded)
        answered = held(monkeypatch, server, "tell_made")
        if told == "later":
            monkeypatch.setattr(server, "tell_change", lambda conversation: None)
        await say(pilot, "a secret")
        await until(pilot, lambda: bool(server.conversations))
        session.delete(session.state.chats[0].id)
        await until_shown(pilot, "Say hello.")
        answered.set()
        await until(pilot, lambda: not server.conversations)
        await until(pilot, lambda: session.background.is_idle)
        assert not session.state.chats
        assert not server.creates
