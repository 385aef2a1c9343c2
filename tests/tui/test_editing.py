"""What is being written: completed, kept with its chat, undone, and brought back."""

import pytest
from textual import events
from textual.pilot import Pilot

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import chat_app, say, until, until_shown
from tests.tui.states import chat_in
from tui.commands import line_of
from tui.widgets.conversations import ConversationList
from tui.widgets.editor import Editor


async def test_slash_commands_are_offered_completed_and_corrected(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await pilot.press(*"/pe")
        await until_shown(pilot, "/persona [NAME]")
        await pilot.press("tab")
        await until(pilot, lambda: pilot.app.query_one(Editor).text == "/persona ")
        await say(pilot, "nobody" * 99)
        await until_shown(pilot, "Nobody is called", "nobodynobodynobodynobodynobodynobodynob…”")
        await say(pilot, f"/renmae {'long ' * 12}title")
        await until_shown(pilot, "did you mean /rename?", "long title")


async def test_several_lines_history_and_drafts(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("earlier", "b"))
    async with open_app() as pilot:
        editor = pilot.app.query_one(Editor)
        await until_shown(pilot, "earlier")
        await pilot.press("up")
        await until(pilot, lambda: editor.text == "earlier")
        await pilot.press("down", *"one", "shift+enter", *"two", "ctrl+j", *"x")
        await until(pilot, lambda: editor.text == "one\ntwo\nx")
        await pilot.press("ctrl+n")
        await until_shown(pilot, "Say hello.")
        assert editor.text == ""
        await say(pilot, "/open sea")
        await until(pilot, lambda: editor.text == "one\ntwo\nx")
        await pilot.press("enter")
        await until(pilot, lambda: bool(server.creates))
        assert server.creates[0]["input"] == "one\ntwo\nx"


async def test_up_brings_back_commands_and_what_was_said_in_the_open_chat(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Hill", ("up there", "c"))
    server.add_conversation("Sea", ("/etc is what?", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "/etc is what?", "live")
        for line in ("ahoy", "/persona pirate", "/open hill"):
            await say(pilot, line)
        await until_shown(pilot, "up there")
        for line in ("/open hill", "/persona pirate", "up there"):
            await _up_brings(pilot, line)
        await pilot.press("down", "down", "down")
        await say(pilot, "/open sea")
        await until_shown(pilot, "ahoy")
        for line in ("/open sea", "/open hill", "/persona pirate", "ahoy", "//etc is what?"):
            await _up_brings(pilot, line)


async def test_what_up_brings_back_is_worked_out_when_it_is_pressed(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes long for a chat of many messages, and the screen is drawn many times a second."""
    asked: list[str] = []

    def noted(message: str) -> str:
        asked.append(message)
        return line_of(message)

    monkeypatch.setattr("tui.typed.line_of", noted)
    server.add_conversation("Sea", ("earlier", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "earlier", "live")
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.")
        assert not asked
        await _up_brings(pilot, "hi")
        await _up_brings(pilot, "earlier")
        assert asked == ["earlier", "hi"]


async def test_code_is_sent_as_it_was_pasted(open_app: OpenApp, server: FakeServer) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "\n    if x:\n        y()\n\n")
        await until(pilot, lambda: len(server.creates) == 1)
        await say(pilot, "// what it does\n    run()")
        await until(pilot, lambda: len(server.creates) == 2)
        assert [create["input"] for create in server.creates] == [
            "    if x:\n        y()",
            "// what it does\n    run()",
        ]


async def test_undo_reaches_back_over_what_was_put_into_the_editor(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("earlier", "b"))
    async with open_app() as pilot:
        editor = pilot.app.query_one(Editor)
        await until_shown(pilot, "earlier")
        await pilot.press("up")
        await until(pilot, lambda: editor.text == "earlier")
        await pilot.press("ctrl+z")
        await until(pilot, lambda: editor.text == "")
        await pilot.press(*"half", "left")
        chat_app(pilot.app).action_command("edit")
        await until(pilot, lambda: editor.text == "/edit earlier")
        await pilot.press("ctrl+z")
        await until(pilot, lambda: editor.text == "half")
        assert editor.cursor_location == (0, 3)


async def test_a_chat_keeps_the_place_and_the_undo_of_what_is_written_in_it(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("earlier", "b"))
    async with open_app() as pilot:
        editor, session = pilot.app.query_one(Editor), chat_app(pilot.app).session
        await until_shown(pilot, "earlier")
        editor.insert("to the sea")
        await pilot.press("left", "left")
        session.open(None)
        await pilot.press("ctrl+z")
        assert editor.text == ""
        session.open("conv_1")
        assert (editor.text, editor.cursor_location) == ("to the sea", (0, 8))
        await pilot.press("ctrl+z")
        await until(pilot, lambda: editor.text == "")


async def test_what_is_typed_right_after_a_switch_belongs_to_the_chat_that_is_open_then(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("earlier", "b"))
    async with open_app() as pilot:
        editor, session = pilot.app.query_one(Editor), chat_app(pilot.app).session
        await until_shown(pilot, "earlier")
        editor.insert("to the sea")
        session.open(None)  # and nothing is drawn in between
        editor.insert("to nobody")
        assert editor.text == "to nobody"
        session.open("conv_1")
        assert editor.text == "to the sea"
        session.open(None)
        assert editor.text == "to nobody"


async def test_a_deleted_chat_takes_its_draft_along_and_no_other(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("earlier", "b"))
    server.add_conversation("Hill", ("up there", "c"))
    async with open_app() as pilot:
        editor = pilot.app.query_one(Editor)
        await until_shown(pilot, "up there")
        await say(pilot, "/open sea")
        await until_shown(pilot, "earlier")
        await pilot.press(*"half")
        await pilot.press("ctrl+n")
        await until_shown(pilot, "Say hello.")
        await say(pilot, "/open hill")
        await until_shown(pilot, "up there")
        await pilot.press(*"gone")
        chat_app(pilot.app).session.delete(chat_in(chat_app(pilot.app).session.state, "conv_2"))
        await until(pilot, lambda: list(server.conversations) == ["conv_1"])
        await until(pilot, lambda: editor.text == "half")


async def test_what_is_typed_or_pasted_in_the_list_reaches_the_editor(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "Sea")
        pilot.app.query_one(ConversationList).focus()
        await pilot.press(*"do you")
        pilot.app.query_one(ConversationList).focus()
        await pilot.pause()
        pilot.app.post_message(events.Paste(" remember\nme"))
        await until(pilot, lambda: pilot.app.query_one(Editor).text == "do you remember\nme")
        assert len(pilot.app.screen_stack) == 1


async def test_typing_reaches_the_editor_from_anywhere(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        pilot.app.query_one(ConversationList).focus()
        await pilot.press("h", "e", "y")
        await until(pilot, lambda: pilot.app.query_one(Editor).text == "hey")


async def _up_brings(pilot: Pilot[int], line: str) -> None:
    await pilot.press("up")
    await until(pilot, lambda: pilot.app.query_one(Editor).text == line)
