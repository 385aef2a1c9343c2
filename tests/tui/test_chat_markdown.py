"""What Markdown comes to on a terminal, while it is live and once it is settled."""

from textual.widgets import Markdown

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import chat_app, say, screen_text, until, until_shown
from tui.chat_markdown import rendered
from tui.widgets.message import FrozenReply


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


async def test_one_reply_is_live_and_earlier_ones_are_frozen(open_app: OpenApp, server: FakeServer) -> None:
    async with open_app() as pilot:
        for number in range(3):
            server.gate.clear()
            await say(pilot, f"m{number}")
            await until_shown(pilot, f"m{number}", "writing…", "Hello\n")
            server.gate.set()
            await until(pilot, lambda: "writing…" not in screen_text(chat_app(pilot.app)))
        await until(pilot, lambda: (len(pilot.app.query(FrozenReply)), len(pilot.app.query(Markdown))) == (2, 1))


async def test_what_a_model_writes_cannot_steer_the_terminal(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = ["\x1b[2J", "\x1b]0;owned\x07", "[red]not markup[/red] ", "```\nunclosed \x9b31m"]
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "]0;owned[red]not markup[/red]", "unclosed 31m")
        assert "\x1b" not in screen_text(chat_app(pilot.app))


async def test_lines_end_where_the_model_ended_them_while_they_stream_and_after(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("a", "one, plain\ntwo, plain"), ("b", "one, *frozen*\ntwo, frozen"))
    server.pieces = ["one, live\n", "two, live"]
    async with open_app() as pilot:
        await until_shown(pilot, "two, frozen")
        await say(pilot, "hi")
        await until_shown(pilot, "two, live")
        shown = [line.strip(" │") for line in screen_text(chat_app(pilot.app)).splitlines()]
        assert [f"{word}, {kind}" in shown for kind in ("plain", "frozen", "live") for word in ("one", "two")] == [
            True
        ] * 6


async def test_what_a_model_spells_as_a_reference_cannot_turn_text_around(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("a", "**frozen** &#x202e;txt &lt;"))
    server.pieces = ["live &rl", "m;txt ", "&lt;"]
    async with open_app() as pilot:
        await until_shown(pilot, "live", "frozen &#x202e;txt <")
        await say(pilot, "hi")
        await until_shown(pilot, "live &rlm;txt <")
