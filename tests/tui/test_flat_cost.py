"""Streaming costs the same in a long chat as in a new one: widgets are counted, not seconds."""

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import say, until_shown
from tui.widgets.transcript import Transcript


async def test_two_hundred_settled_messages_mount_a_window_of_few_widgets(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Long", *[(f"q {n}", "## Title\n\n- a\n- b\n\n```py\nx\n```") for n in range(100)])
    server.gate.clear()
    async with open_app() as pilot:
        await until_shown(pilot, "q 99")
        await say(pilot, "go")
        await until_shown(pilot, "writing…", "Hello")
        assert len(pilot.app.query_one(Transcript).query("*")) < 40 * 3 + 10
