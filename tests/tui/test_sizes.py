"""The screen at sizes that nobody would choose, but that a window has while it is dragged."""

import pytest

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import chat_app, say, screen_text, until, until_shown
from tui.commands import COMMANDS
from tui.widgets.editor import Editor


@pytest.mark.parametrize("columns", [3, 6, 33, 36])
async def test_a_narrow_terminal_is_only_narrow(open_app: OpenApp, columns: int) -> None:
    """At some widths nothing was left for what stands in the empty editor, which Textual cannot draw."""
    async with open_app() as pilot:
        await until_shown(pilot, "Say hello.", "live")
        await pilot.resize_terminal(columns, 10)
        await pilot.pause()
        await pilot.resize_terminal(110, 30)
        await until_shown(pilot, "Say hello.", "live")


async def test_a_conversation_with_a_long_title_takes_one_line_of_the_list(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("What the pirates of the seven seas sing", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "What the pirates of the s…│")
        assert screen_text(pilot.app).splitlines()[2].startswith("│     ")


async def test_every_command_is_offered_after_a_slash(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as pilot:
        await until_shown(pilot, "live")
        await pilot.press("slash")
        await until_shown(pilot, "│ /", *(command.usage for command in COMMANDS))
        await pilot.resize_terminal(40, 10)
        await until_shown(pilot, "/new", "│ /  ")


async def test_the_end_of_a_long_message_is_in_sight_on_the_smallest_screen(open_app: OpenApp) -> None:
    async with open_app(size=(20, 10)) as pilot:
        await until_shown(pilot, "live")
        editor = pilot.app.query_one(Editor)
        editor.insert("\n".join(f"line {number}" for number in range(12)))
        await until(pilot, lambda: editor.region.height > 3)
        await until_shown(pilot, "line 11", "live")
        assert editor.region.bottom < 10


async def test_each_dialog_can_be_used_on_the_smallest_screen(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("What is the best way to learn how to sail a small boat alone?", ("a", "b"))
    async with open_app(size=(20, 10)) as pilot:
        await until(pilot, lambda: chat_app(pilot.app).session.state.models)
        await until_shown(pilot, "What is the best")
        for command, texts in {
            "/delete": ("Delete “What", "…” for good?", "y: yes · Esc: no"),
            "/persona": ("Who answers", "type to search", "pirate"),
            "/search": ("Find a conv", "words", "boat alone?"),
            "/rename": ("New title", "boat alone?"),
        }.items():
            await say(pilot, command)
            await until_shown(pilot, *texts)
            await pilot.press("escape")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
