"""What Markdown comes to on a terminal, while it is live and once it is settled."""

from tests.tui.fake_server import FakeServer
from tests.tui.screens import say, screen_text, until_shown
from tui.chat_markdown import rendered

from .conftest import OpenApp


async def test_all_of_a_long_line_of_code_is_shown(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = ["```\n", "start " + "a" * 150 + " finish\n", "```\n", "after"]
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "hi")
        await until_shown(pilot, "after", "start", "finish")


async def test_a_link_tells_where_it_leads(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = ["[the page](https://example.com/a?b=c)\n\n", "and https://plain.org\n\n", "after"]
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "hi")
        await until_shown(pilot, "the page (https://example.com/a?b=c)", "and https://plain.org", "after")
        assert "(https://plain.org" not in screen_text(pilot.app)


def test_a_settled_link_does_too() -> None:
    assert "the page (https://example.com)" in rendered("[the page](https://example.com)", 80).plain
