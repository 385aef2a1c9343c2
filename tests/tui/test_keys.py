"""Keys and commands, from anywhere on the screen and at any size, and the ways out."""

import pytest
from textual import events
from textual.widgets import Input

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import assert_golden, chat_app, say, until, until_shown
from tui import transitions
from tui.widgets.conversations import ConversationList
from tui.widgets.editor import Editor


async def test_rename_and_delete(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Keep", ("a", "kept"))
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "Sea")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
        await pilot.press(*"Sea talk", "enter")
        await until(pilot, lambda: server.conversations["conv_2"]["title"] == "Sea talk")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        await until_shown(pilot, "Sea talk")
        await say(pilot, "/delete")
        await until_shown(pilot, "Delete “Sea talk” for good?")
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        await say(pilot, "/delete")
        await until_shown(pilot, "Delete “Sea talk” for good?")
        await pilot.press("Y")
        await until_shown(pilot, "kept")
        assert list(server.conversations) == ["conv_1"]
        await pilot.press("ctrl+n")
        await until_shown(pilot, "Say hello.")
        await say(pilot, "/delete")
        await until_shown(pilot, "There is nothing to delete yet.")


async def test_a_title_that_is_too_long_is_refused_at_once(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "Sea")
        await say(pilot, "/rename " + "x" * 201)
        await until_shown(pilot, "Not renamed", "201")
        assert server.conversations["conv_1"]["title"] == "Sea"


async def test_a_page_that_is_short_keeps_its_end_in_sight(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = [f"line {n}\n\n" for n in range(30)]
    server.gate.clear()
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "hi")
        await until_shown(pilot, "line 0")
        await pilot.press("pageup")
        server.gate.set()
        await until_shown(pilot, "line 29")


async def test_leaving_is_asked_about_for_every_message_that_would_be_lost(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        session = chat_app(pilot.app).session
        for key in ("first", "second"):
            session._shown.set(transitions.submitted(session.state, key, f"the {key}"))
            await pilot.press("ctrl+q")
            await until_shown(pilot, f"the {key}", "A message has not")
            session._shown.set(transitions.acknowledged(session.state, key, {"id": f"resp_{key}"}))
            pilot.app.clear_notifications()
        assert pilot.app.is_running
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)


async def test_keys_that_come_at_once_mean_what_they_do_one_by_one(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "Sea")
        for key in ("ctrl+n", "ctrl+q"):
            pilot.app.query_one(Editor).insert("for Sea")
            pilot.app.post_message(events.Key("enter", "\r"))
            pilot.app.post_message(events.Key(key, None))
            await until(pilot, lambda: len(server.creates) == 1)
        await until_shown(pilot, "A message has not")
        assert server.creates[0]["conversation"] == "conv_1"


async def test_a_narrow_terminal_hides_the_list_until_asked(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea talk", ("hello", "welcome"))
    server.add_conversation("Other", ("a", "bee"))
    async with open_app(size=(70, 20)) as pilot:
        await until_shown(pilot, "bee")
        listing = pilot.app.query_one(ConversationList)
        assert not listing.display
        await pilot.press("ctrl+b")
        await until_shown(pilot, "Sea talk")
        assert_golden(chat_app(pilot.app), "narrow_list")
        await pilot.press("down", "enter")
        await until_shown(pilot, "welcome")
        assert not listing.display
        await pilot.press("ctrl+b")
        await until_shown(pilot, "Other")
        await pilot.press("escape")
        await until(pilot, lambda: not listing.display)


@pytest.mark.parametrize("columns", [40, 60, 200])
async def test_any_width_will_do(open_app: OpenApp, server: FakeServer, columns: int) -> None:
    server.add_conversation(
        "Wide 你好", ("[bold]markup[/bold]", "| a | b |\n|---|---|\n| שלום | 👩‍🚀 |\n\n" + "long " * 200)
    )
    async with open_app(size=(columns, 24)) as pilot:
        await until_shown(pilot, "long long", "live")
        await pilot.resize_terminal(columns + 7, 18)
        await until_shown(pilot, "long long")


async def test_copy_takes_the_source_of_a_reply_or_of_a_code_block(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Code", ("x", "See **this**:\n\n```python\nx = 1\n```"))
    async with open_app() as pilot:
        await until_shown(pilot, "See this")
        await say(pilot, "/copy")
        await until(pilot, lambda: pilot.app.clipboard.startswith("See **this**"))
        await say(pilot, "/copy 1")
        await until(pilot, lambda: pilot.app.clipboard == "x = 1")
        await say(pilot, f"/copy {'9' * 4301}")  # more digits than int() takes
        await until_shown(pilot, "no such code block; the last reply has 1.")
        await pilot.press("alt+up", "alt+up")
        await say(pilot, "/copy 1")
        await until_shown(pilot, "no such code block; the marked message")


async def test_the_list_pages_and_deletes_by_key(open_app: OpenApp, server: FakeServer) -> None:
    for number in range(55):
        server.add_conversation(f"Chat {number}", ("a", "b"))
    async with open_app() as pilot:
        listing = pilot.app.query_one(ConversationList)
        await until(pilot, lambda: listing.option_count == 51)
        listing.focus()
        await until(pilot, lambda: listing.has_focus)  # what is drawn until then highlights the open chat
        listing.highlighted = 50
        await pilot.press("enter")
        await until(pilot, lambda: listing.option_count == 55)
        listing.focus()
        await until(pilot, lambda: listing.has_focus)
        listing.highlighted = 0
        await pilot.press("delete")
        await until_shown(pilot, "Delete “Chat 54” for good?")
        await pilot.press("y")
        await until(pilot, lambda: listing.option_count == 54)


async def test_reading_on_in_the_list_goes_on_at_the_first_of_the_older_ones(
    open_app: OpenApp, server: FakeServer
) -> None:
    for number in range(105):
        server.add_conversation(f"Chat {number}", ("a", "b"))
    async with open_app() as pilot:
        listing = pilot.app.query_one(ConversationList)
        await until(pilot, lambda: listing.option_count == 51)
        listing.focus()
        await until(pilot, lambda: listing.has_focus)
        for options, first in ((101, "conv_55"), (105, "conv_5")):
            await pilot.press("end", "enter")
            await until(pilot, lambda options=options: listing.option_count == options)  # type: ignore[misc]
            assert listing.highlighted_option
            assert listing.highlighted_option.id == first


async def test_what_is_in_sight_of_the_list_stays_when_something_happens_elsewhere(
    open_app: OpenApp, server: FakeServer
) -> None:
    for number in range(50):
        server.add_conversation(f"Chat {number}", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "Chat 49")
        listing = pilot.app.query_one(ConversationList)
        listing.scroll_to(y=20, animate=False, immediate=True)
        server.tell_change(server.add_conversation("News", ("a", "b")))
        await until(pilot, lambda: listing.option_count == 51)
        assert listing.scroll_y == 20


async def test_help_lists_the_keys_and_the_palette_the_commands(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await pilot.press("f1")
        await until_shown(pilot, "Keys", "^T", "choose who answers")
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await pilot.press(*"rena")
        await until_shown(pilot, "rename this conversation")


async def test_an_interrupt_stops_the_reply_and_a_second_one_quits(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "hi")
        await until_shown(pilot, "writing…", "Hello")
        await pilot.press("ctrl+c")
        await until_shown(pilot, "(stopped)", "^C again quits")
        assert pilot.app.return_value is None
        await pilot.press("ctrl+c")
        await until(pilot, lambda: pilot.app.return_value == 0)


@pytest.mark.parametrize(
    "keys", [("ctrl+q",), ("ctrl+c", "ctrl+c"), ("ctrl+d", "ctrl+d"), ("/", "q", "u", "i", "t", "enter")]
)
async def test_ways_out(open_app: OpenApp, keys: tuple[str, ...]) -> None:
    async with open_app() as pilot:
        await pilot.press(*keys)
        await until(pilot, lambda: pilot.app.return_value == 0)


@pytest.mark.parametrize("command", ["/help", "/delete", "/rename", "/persona", "/search"])
async def test_the_key_to_leave_works_in_every_dialog(open_app: OpenApp, server: FakeServer, command: str) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "chatbot-mini · live", "Sea")
        await say(pilot, command)
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)
