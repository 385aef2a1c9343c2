"""The whole screen, driven by keys against a fake server."""

import asyncio
from functools import partial

import pytest
from textual.widgets import Markdown

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import assert_golden, say, screen_text, until, until_shown
from tui.app import ChatApp
from tui.listing import CHATS_PAGE
from tui.session import Session
from tui.widgets.editor import Editor
from tui.widgets.message import FrozenReply
from tui.widgets.transcript import Transcript


async def test_a_first_run_says_hello_with_the_editor_ready(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "Say hello.", "chatbot-mini · live")
        assert isinstance(pilot.app.focused, Editor)
        assert_golden(_app(pilot.app), "first_run")


async def test_a_first_turn_makes_a_conversation_and_streams(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    server.pieces = ["Ahoy, ", "**matey**", "!"]
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "Assistant  writing…", "Ahoy,", "Esc stops")
        server.gate.set()
        await until_shown(pilot, "Ahoy, matey!", "hi\n")
        await until(pilot, lambda: "writing…" not in screen_text(_app(pilot.app)))
        assert server.creates[0]["input"] == "hi"
        assert [item["role"] for item in server.items["conv_1"]] == ["user", "assistant"]


async def test_the_newest_conversation_is_there_after_a_restart(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Old one", ("a", "b"))
    server.add_conversation("Trade winds", ("Where from?", "From the **north**:\n\n- cold\n- dry"), model="pirate")
    async with open_app() as pilot:
        await until_shown(pilot, "Pirate\n", "From the north:", "• dry", "pirate · live", "Old one")
        assert_golden(_app(pilot.app), "restart")


async def test_a_conversation_opens_by_its_title(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Old one", ("a", "bee"))
    for number in range(60):
        server.add_conversation(f"New {number}", ("c", "dee"))
    async with open_app(conversation="Old one") as pilot:
        await until_shown(pilot, "bee")


async def test_escape_stops_and_keeps_the_partial_text(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "Hello\n", "writing…")
        await pilot.press("escape")
        await until_shown(pilot, "Hello\n", "(stopped)")


async def test_leaving_in_the_middle_of_a_reply_is_quiet(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    server.pieces = ["word "] * 500
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "word", "writing…")
        server.gate.set()
        await pilot.press("ctrl+q")
    assert pilot.app.return_value == 0


async def test_messages_sent_meanwhile_wait_their_turn(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await say(pilot, "one")
        await until_shown(pilot, "writing…")
        await say(pilot, "two")
        await until_shown(pilot, "two", "Assistant  queued")
        server.gate.set()
        await until(pilot, lambda: screen_text(_app(pilot.app)).count("Hello there.") == 2)
        assert [frame["input"] for frame in server.creates] == ["one", "two"]


async def test_a_reply_streams_on_in_its_chat_while_another_is_read(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("First", ("x", "why"))
    server.add_conversation("Second", ("q", "because"))
    server.gate.clear()
    async with open_app() as pilot:
        await until_shown(pilot, "because")
        await say(pilot, "go")
        await until_shown(pilot, "writing…")
        await say(pilot, "/open First")
        await until_shown(pilot, "why")
        server.gate.set()
        await until_shown(pilot, "● Second")
        assert "Hello there." not in screen_text(_app(pilot.app))
        await say(pilot, "/open Second")
        await until_shown(pilot, "Hello there.")
        assert "●" not in screen_text(_app(pilot.app))


async def test_a_running_reply_is_taken_up_when_the_client_opens(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "writing…", "Hello")
    async with open_app() as pilot:
        await until_shown(pilot, "writing…", "Hello")
        server.gate.set()
        await until_shown(pilot, "Hello there.")
        assert screen_text(_app(pilot.app)).count("Hello") == 1


async def test_a_lost_server_is_told_and_the_reply_goes_on_after_it(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "writing…", "Hello")
        server.accepts = False
        await server.drop_sockets()
        await until_shown(pilot, "The server does not answer", "offline")
        await pilot.press(*"draft")
        await until(pilot, lambda: pilot.app.query_one(Editor).text == "draft")
        server.accepts = True
        await server.attached.wait()
        server.gate.set()
        await until_shown(pilot, "Hello there.", "live")
        assert "does not answer" not in screen_text(_app(pilot.app))


async def test_a_crash_leaves_an_interrupted_reply(open_app: OpenApp, server: FakeServer) -> None:
    server.ending = "incomplete"
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.", "(interrupted)")
    async with open_app() as pilot:
        await until_shown(pilot, "Hello there.", "(interrupted)")


async def test_how_a_long_text_ended_is_told_where_it_ends(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("a", "b"))
    server.ending = "incomplete"
    server.pieces = [f"line {n}\n\n" for n in range(40)]
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "\n".join(f"row {n}" for n in range(40)))
        await until_shown(pilot, "line 39", "(interrupted)")
        server.refusal = {"status": 413, "error": {"code": "message_too_large", "message": "the message is too long"}}
        await say(pilot, "\n".join(f"word {n}" for n in range(40)))
        await until_shown(pilot, "word 39", "(not sent: the message is too long)")


async def test_a_refusal_stands_at_the_message(open_app: OpenApp, server: FakeServer) -> None:
    server.refusal = {"status": 413, "error": {"code": "message_too_large", "message": "the message is too long"}}
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "(not sent: the message is too long)")


async def test_a_wrong_key_is_told_on_the_blank_page(open_app: OpenApp, server: FakeServer) -> None:
    server.denies = True
    async with open_app() as pilot:
        await until_shown(pilot, "The server refused: wrong API key", "offline")


async def test_the_reader_is_not_moved_and_comes_back_by_a_key(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Long", *[(f"question {n}", f"answer {n}") for n in range(12)])
    server.gate.clear()
    server.pieces = [f"line {n}\n\n" for n in range(30)]
    async with open_app() as pilot:
        await until_shown(pilot, "answer 11")
        await say(pilot, "go")
        await until_shown(pilot, "writing…")
        await pilot.press("pageup")
        await until_shown(pilot, "more below")
        transcript = pilot.app.query_one(Transcript)
        place = transcript.scroll_y
        server.gate.set()
        await until(pilot, lambda: server.responses["resp_1"].body["status"] == "completed")
        await until(pilot, lambda: "writing…" not in _all_text(pilot.app))
        assert transcript.scroll_y == place
        await pilot.press("ctrl+end")
        await until_shown(pilot, "line 29")
        await until(pilot, lambda: "more below" not in screen_text(_app(pilot.app)))


async def test_what_was_said_elsewhere_shows_when_a_chat_is_opened_again(open_app: OpenApp, server: FakeServer) -> None:
    conversation = server.add_conversation("Sea", ("earlier", "before"))
    async with open_app() as pilot:
        await until_shown(pilot, "before")
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.")
        server.say_elsewhere(conversation, "from the other terminal", "heard you")
        await pilot.press("ctrl+n")
        await until_shown(pilot, "Say hello.")
        await say(pilot, "/open sea")
        await until_shown(pilot, "from the other terminal", "heard you")
        assert [m.text for m in _app(pilot.app).session.state.chats[0].messages] == [
            *("earlier", "before", "hi", "Hello there.", "from the other terminal", "heard you")
        ]


async def test_what_was_said_elsewhere_shows_when_the_server_is_back(open_app: OpenApp, server: FakeServer) -> None:
    conversation = server.add_conversation("Sea", ("earlier", "before"))
    async with open_app() as pilot:
        await until_shown(pilot, "before")
        server.say_elsewhere(conversation, "from the other terminal", "heard you")
        await server.drop_sockets()
        await until_shown(pilot, "from the other terminal", "heard you")


async def test_a_conversation_that_was_looked_up_hides_none_before_it(open_app: OpenApp, server: FakeServer) -> None:
    for number in range(CHATS_PAGE + 20):
        server.add_conversation(f"Talk {number}", ("a", "b"))
    async with open_app(conversation="Talk 5") as pilot:
        await until(pilot, lambda: len(_app(pilot.app).session.state.chats) == CHATS_PAGE + 1)
        _app(pilot.app).session.load_more_chats()
        await until(pilot, lambda: not _app(pilot.app).session.state.has_more_chats)
        assert len({chat.id for chat in _app(pilot.app).session.state.chats}) == CHATS_PAGE + 20


async def test_the_list_goes_on_when_its_last_conversation_was_deleted(open_app: OpenApp, server: FakeServer) -> None:
    for number in range(CHATS_PAGE + 20):
        server.add_conversation(f"Talk {number}", ("a", "b"))
    async with open_app() as pilot:
        session = _app(pilot.app).session
        await until(pilot, lambda: len(session.state.chats) == CHATS_PAGE)
        session.delete(session.state.chats[-1].id)
        await until(pilot, lambda: len(session.state.chats) == CHATS_PAGE - 1)
        session.load_more_chats()
        await until(pilot, lambda: not session.state.has_more_chats)
        assert len({chat.id for chat in session.state.chats}) == CHATS_PAGE + 19


async def test_a_chat_deleted_while_the_server_was_away_is_told(open_app: OpenApp, server: FakeServer) -> None:
    conversation = server.add_conversation("Sea", ("earlier", "before"))
    async with open_app() as pilot:
        await until_shown(pilot, "before")
        del server.conversations[conversation], server.items[conversation]
        await server.drop_sockets()
        await until_shown(pilot, "“Sea” was deleted elsewhere.")
        assert not _app(pilot.app).session.state.chats


async def test_older_history_comes_when_the_reader_reaches_the_top(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Long", *[(f"question {n};", f"answer {n};") for n in range(45)])
    async with open_app() as pilot:
        await until_shown(pilot, "answer 44;")
        transcript = pilot.app.query_one(Transcript)
        assert len(transcript.query(".message")) <= 40
        for mounted, first_shown in ((60, 25), (80, 15), (90, 5)):
            transcript.scroll_home(animate=False, immediate=True)
            await until(pilot, partial(_has_messages, transcript, mounted))
            await until(pilot, lambda: transcript.scroll_y > 0)
            await until_shown(pilot, f"question {first_shown};")  # what was read stays in view


async def test_history_that_is_asked_for_twice_at_once_comes_once(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Long", *[(f"question {n};", f"answer {n};") for n in range(30)])
    async with open_app() as pilot:
        session = _app(pilot.app).session
        await until_shown(pilot, "answer 29;")
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.")
        await until(pilot, lambda: session.background.is_idle)
        session.load_older()
        session.load_older()
        await until(pilot, lambda: session.state.chat and len(session.state.chat.messages) >= 62)
        await until(pilot, lambda: session.background.is_idle)
        assert session.state.chat
        said = [message.text for message in session.state.chat.messages]
        assert (len(said), said.count("hi"), session.state.chat.oldest_item) == (62, 1, None)


async def test_history_goes_on_though_the_oldest_shown_message_was_deleted(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Long", *[(f"question {n};", f"answer {n};") for n in range(30)])
    async with open_app() as pilot:
        session = _app(pilot.app).session
        await until_shown(pilot, "answer 29;")
        (items,) = server.items.values()
        gone = next(item for item in items if item["id"] == session.state.chat.oldest_item)  # type: ignore[union-attr]
        items.remove(gone)
        session.load_older()
        await until(pilot, lambda: session.background.is_idle)
        assert session.state.chat
        assert [message.text for message in session.state.chat.messages] == [
            part["text"] for item in items for part in item["content"]
        ]


async def test_what_is_typed_while_the_list_comes_stays_though_others_speak(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = server.add_conversation("Sea", ("earlier", "before"))
    goes_on, load_models = asyncio.Event(), Session._load_models

    async def held(session: Session) -> None:
        await goes_on.wait()
        await load_models(session)

    monkeypatch.setattr(Session, "_load_models", held)
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        pilot.app.query_one(Editor).insert("half a thought")
        server.tell_change(conversation)
        await until_shown(pilot, "Sea")
        goes_on.set()
        await until_shown(pilot, "before", "half a thought")


async def test_one_reply_is_live_and_earlier_ones_are_frozen(open_app: OpenApp, server: FakeServer) -> None:
    async with open_app() as pilot:
        for number in range(3):
            server.gate.clear()
            await say(pilot, f"m{number}")
            await until_shown(pilot, f"m{number}", "writing…", "Hello\n")
            server.gate.set()
            await until(pilot, lambda: "writing…" not in screen_text(_app(pilot.app)))
        await until(pilot, lambda: (len(pilot.app.query(FrozenReply)), len(pilot.app.query(Markdown))) == (2, 1))


async def test_what_a_model_writes_cannot_steer_the_terminal(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = ["\x1b[2J", "\x1b]0;owned\x07", "[red]not markup[/red] ", "```\nunclosed \x9b31m"]
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "]0;owned[red]not markup[/red]", "unclosed 31m")
        assert "\x1b" not in screen_text(_app(pilot.app))


async def test_lines_end_where_the_model_ended_them_while_they_stream_and_after(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("a", "one, plain\ntwo, plain"), ("b", "one, *frozen*\ntwo, frozen"))
    server.pieces = ["one, live\n", "two, live"]
    async with open_app() as pilot:
        await until_shown(pilot, "two, frozen")
        await say(pilot, "hi")
        await until_shown(pilot, "two, live")
        shown = [line.strip(" │") for line in screen_text(_app(pilot.app)).splitlines()]
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


def _app(app: object) -> ChatApp:
    assert isinstance(app, ChatApp)
    return app


def _has_messages(transcript: Transcript, count: int) -> bool:
    return len(transcript.query(".message")) >= count


def _all_text(app: object) -> str:
    return " ".join(str(static.render()) for static in _app(app).query(".headline"))
