"""Keys, commands, dialogs and terminal sizes."""

import asyncio

import pytest
from textual import events
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from chatbot.client import RequestRejected
from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import assert_golden, say, until, until_shown
from tui import transitions
from tui.app import ChatApp
from tui.listing import CHATS_PAGE
from tui.session import Session
from tui.widgets.conversations import ConversationList
from tui.widgets.editor import Editor


async def test_the_persona_picker_finds_by_letters_and_the_choice_is_kept(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "chatbot-mini · live", "Sea")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
        await pilot.press(*"prt")
        await until(pilot, lambda: pilot.app.screen.query_one(OptionList).option_count == 1)
        assert_golden(_app(pilot.app), "persona_picker")
        await pilot.press("enter")
        await until_shown(pilot, "pirate · live")
        await until(pilot, lambda: server.conversations["conv_1"]["model"] == "pirate")
        await say(pilot, "hi")
        await until_shown(pilot, "Pirate")
        assert server.creates[0]["model"] == "pirate"


async def test_a_search_opens_what_was_picked_though_it_is_not_in_the_list(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Old", ("my sister sails", "She must like the sea."))
    for number in range(CHATS_PAGE):
        server.add_conversation(f"New {number}", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "chatbot-mini · live", "New 49")
        await say(pilot, "/search sister")
        await until(pilot, lambda: _found(pilot.app) == ["conv_1"])
        await pilot.press(*" xx")
        await until_shown(pilot, "Nothing fits.")
        assert _found(pilot.app) == []
        await pilot.press("backspace", "backspace")
        await until(pilot, lambda: _found(pilot.app) == ["conv_1"])
        await pilot.press("enter")
        await until_shown(pilot, "my sister sails", "She must like the sea.")
        await pilot.press("ctrl+f")
        await until(pilot, lambda: len(_found(pilot.app)) == CHATS_PAGE)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.focused, Editor))


async def test_enter_right_after_the_words_opens_what_they_find(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is highlighted until then was found for no words, or for others."""
    monkeypatch.setattr("tui.widgets.search.PAUSE_S", 0.5)
    server.add_conversation("Old", ("my sister sails", "She must like the sea."))
    server.add_conversation("New", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "chatbot-mini · live", "New")
        await pilot.press("ctrl+f")
        await until(pilot, lambda: len(_found(pilot.app)) == 2)
        await pilot.press(*"sister", "enter")
        await until_shown(pilot, "She must like the sea.")


def _found(app: App[int]) -> list[str | None]:
    return [option.id for listing in app.screen.query(OptionList) for option in listing.options]


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
        await pilot.press("y")
        await until_shown(pilot, "kept")
        assert list(server.conversations) == ["conv_1"]


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


async def test_a_persona_that_was_made_since_answers_by_its_name(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "Sea")
        server.models.append(("parrot", True))
        await say(pilot, "/persona parrot")
        await until_shown(pilot, "parrot · live")


async def test_leaving_is_asked_about_for_every_message_that_would_be_lost(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        session = _app(pilot.app).session
        for key in ("first", "second"):
            session._shown.set(transitions.submitted(session.state, key, f"the {key}"))
            await pilot.press("ctrl+q")
            await until_shown(pilot, f"the {key}", "A message has not")
            session._shown.set(transitions.acknowledged(session.state, key, {"id": f"resp_{key}"}))
            pilot.app.clear_notifications()
        assert pilot.app.is_running
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)


async def test_who_can_answer_is_offered_at_once_though_the_server_takes_its_time(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picker that comes late takes the keys of what is typed by then, Enter among them."""
    server.add_conversation("Sea", ("a", "b"))
    goes_on, load_models = asyncio.Event(), Session._load_models

    async def held(session: Session) -> None:
        await goes_on.wait()
        await load_models(session)

    async with open_app() as pilot:
        await until_shown(pilot, "live", "Sea")
        monkeypatch.setattr(Session, "_load_models", held)
        server.models.append(("parrot", True))
        await pilot.press("ctrl+t")
        await until(pilot, lambda: _found(pilot.app) == ["chatbot-mini", "pirate", "poet"])
        await until_shown(pilot, "▸ chatbot-mini")
        goes_on.set()
        await until(pilot, lambda: "parrot" in _found(pilot.app))


async def test_a_conversation_beyond_the_list_opens_by_its_title(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Old one", ("a", "bee"))
    for number in range(CHATS_PAGE + 2):
        server.add_conversation(f"New {number}", ("c", "dee"))
    async with open_app() as pilot:
        await until_shown(pilot, "dee")
        await say(pilot, "/open Old one")
        await until_shown(pilot, "bee")
        await say(pilot, "/open Nowhere")
        await until_shown(pilot, "No conversation is called “Nowhere”.")
        await say(pilot, "/open")
        await until(pilot, lambda: len(_found(pilot.app)) == CHATS_PAGE)


async def test_a_title_that_cannot_be_looked_up_is_not_said_to_be_nowhere(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "Sea")
        app = _app(pilot.app)

        async def refused(_: str) -> None:
            raise RequestRejected("the database is busy")

        monkeypatch.setattr(app.session.client, "conversation_titled", refused)
        await say(pilot, "/open Old one")
        await until_shown(pilot, "busy")
        app.session._connection_changed("lost")
        await say(pilot, "/open Old one")
        await until_shown(pilot, "answers")


async def test_slash_commands_are_offered_completed_and_corrected(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await pilot.press(*"/pe")
        await until_shown(pilot, "/persona [NAME]")
        await pilot.press("tab")
        await until(pilot, lambda: pilot.app.query_one(Editor).text == "/persona ")
        await say(pilot, "nobody")
        await until_shown(pilot, "Nobody is called “nobody”")
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
        _app(pilot.app).action_command("edit")
        await until(pilot, lambda: editor.text == "/edit earlier")
        await pilot.press("ctrl+z")
        await until(pilot, lambda: editor.text == "half")
        assert editor.cursor_location == (0, 3)


async def test_a_chat_keeps_the_place_and_the_undo_of_what_is_written_in_it(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("earlier", "b"))
    async with open_app() as pilot:
        editor, session = pilot.app.query_one(Editor), _app(pilot.app).session
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
        editor, session = pilot.app.query_one(Editor), _app(pilot.app).session
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
        _app(pilot.app).session.delete("conv_2")
        await until(pilot, lambda: list(server.conversations) == ["conv_1"])
        await until(pilot, lambda: editor.text == "half")


async def test_a_narrow_terminal_hides_the_list_until_asked(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea talk", ("hello", "welcome"))
    server.add_conversation("Other", ("a", "bee"))
    async with open_app(size=(70, 20)) as pilot:
        await until_shown(pilot, "bee")
        listing = pilot.app.query_one(ConversationList)
        assert not listing.display
        await pilot.press("ctrl+b")
        await until_shown(pilot, "Sea talk")
        assert_golden(_app(pilot.app), "narrow_list")
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
        await say(pilot, "/copy 2")
        await until_shown(pilot, "no code block 2")


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


async def test_typing_reaches_the_editor_from_anywhere(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        pilot.app.query_one(ConversationList).focus()
        await pilot.press("h", "e", "y")
        await until(pilot, lambda: pilot.app.query_one(Editor).text == "hey")


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


async def _up_brings(pilot: Pilot[int], line: str) -> None:
    await pilot.press("up")
    await until(pilot, lambda: pilot.app.query_one(Editor).text == line)


def _app(app: object) -> ChatApp:
    assert isinstance(app, ChatApp)
    return app
