"""Long pieces of a message are folded in the editor, are never cut in two, and arrive whole."""

from textual import events

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import until, until_shown
from tui.folds import LONGEST
from tui.widgets.editor import Editor

LONG = "some words of a line\n" * 1_000
MARK = "[long text 1: 21,000 characters in 1,001 lines]"


async def test_a_long_paste_is_a_mark_until_it_is_sent_whole(open_app: OpenApp, server: FakeServer) -> None:
    async with open_app() as pilot:
        editor = pilot.app.query_one(Editor)
        await until_shown(pilot, "live")
        await pilot.press(*"see ")
        pilot.app.post_message(events.Paste(LONG.replace("\n", "\r")))
        await pilot.press(*"end")
        await until(pilot, lambda: editor.text == f"see {MARK}end")
        await pilot.press("enter")
        await until(pilot, lambda: bool(server.creates))
        assert server.creates[0]["input"] == f"see {LONG}end"
        await until_shown(pilot, "see some words", "more characters", "Hello there")
        await pilot.press("up")
        await until(pilot, lambda: editor.text.startswith("[long text 2: 21,007 characters"))
        await pilot.press("down")
        await until(pilot, lambda: editor.text == "")


async def test_a_fold_is_edited_and_copied_as_a_whole(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        editor = pilot.app.query_one(Editor)
        editor.insert(f"{LONG}")
        assert editor.text == MARK
        await pilot.press("left", "x")
        await until(pilot, lambda: editor.text == f"{MARK}x")
        editor.select_all()
        assert editor.selected_text == f"{LONG}x"
        editor.move_cursor((0, len(MARK)))
        await pilot.press("backspace")
        await until(pilot, lambda: editor.text == "x")
        await pilot.press("ctrl+z")
        await until(pilot, lambda: editor.text == f"{MARK}x")
        room = "w" * (LONGEST - len(editor.text))
        editor.insert(room, (0, 0))
        assert editor.text == f"{room}{MARK}x"


async def test_many_pastes_are_as_long_as_one(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        editor = pilot.app.query_one(Editor)
        for _ in range(20):
            editor.insert(LONG[: LONGEST - 1])
        assert len(editor.text) < LONGEST * 1.2
        await pilot.press("x")
        editor.select_all()
        assert editor.selected_text == LONG[: LONGEST - 1] * 20 + "x"
        editor.replace_all(room := "w" * LONGEST)
        assert editor.text == room


async def test_a_long_message_is_offered_to_be_changed(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", (LONG, "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "more characters")
        pilot.app.query_one(Editor).insert("/edit")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.query_one(Editor).text == f"/edit {MARK}")
