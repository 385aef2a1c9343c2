"""The whole screen, driven by keys against a fake server."""

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import assert_golden, chat_app, say, screen_text, until, until_shown
from tui.widgets.editor import Editor


async def test_a_first_run_says_hello_with_the_editor_ready(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "Say hello.", "chatbot-mini · live")
        assert isinstance(pilot.app.focused, Editor)
        assert_golden(chat_app(pilot.app), "first_run")


async def test_a_first_turn_makes_a_conversation_and_streams(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    server.pieces = ["Ahoy, ", "**matey**", "!"]
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "Assistant  writing…", "Ahoy,", "Esc stops")
        server.gate.set()
        await until_shown(pilot, "Ahoy, matey!", "hi\n")
        await until(pilot, lambda: "writing…" not in screen_text(chat_app(pilot.app)))
        assert server.creates[0]["input"] == "hi"
        assert [item["role"] for item in server.items["conv_1"]] == ["user", "assistant"]


async def test_the_newest_conversation_is_there_after_a_restart(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Old one", ("a", "b"))
    server.add_conversation("Trade winds", ("Where from?", "From the **north**:\n\n- cold\n- dry"), model="pirate")
    async with open_app() as pilot:
        await until_shown(pilot, "Pirate\n", "From the north:", "• dry", "pirate · live", "Old one")
        assert_golden(chat_app(pilot.app), "restart")


async def test_a_conversation_opens_by_its_title(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Old  one", ("a", "bee"))
    for number in range(60):
        server.add_conversation(f"New {number}", ("c", "dee"))
    async with open_app(conversation="Old  one") as pilot:
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
        await until(pilot, lambda: screen_text(chat_app(pilot.app)).count("Hello there.") == 2)
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
        assert "Hello there." not in screen_text(chat_app(pilot.app))
        await say(pilot, "/open Second")
        await until_shown(pilot, "Hello there.")
        assert "●" not in screen_text(chat_app(pilot.app))


async def test_a_running_reply_is_taken_up_when_the_client_opens(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "writing…", "Hello")
    async with open_app() as pilot:
        await until_shown(pilot, "writing…", "Hello")
        server.gate.set()
        await until_shown(pilot, "Hello there.")
        assert screen_text(chat_app(pilot.app)).count("Hello") == 1


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
        assert "does not answer" not in screen_text(chat_app(pilot.app))


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


async def test_what_was_refused_is_sent_again_as_it_was_typed(open_app: OpenApp, server: FakeServer) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "writing…", "live")
        server.refusal = {"status": 429, "error": {"code": "engine_full", "message": "try again"}}
        await say(pilot, "שלום\u200f (ahoy)")
        await until_shown(pilot, "(not sent: try again)")
        server.refusal = None
        await say(pilot, "/retry")
        await until_shown(pilot, "Assistant  queued")
        server.gate.set()
        await until(pilot, lambda: screen_text(chat_app(pilot.app)).count("Hello there.") == 2)  # none was stopped
        assert [frame["input"] for frame in server.creates] == ["hi", *["שלום\u200f (ahoy)"] * 2]


async def test_a_wrong_key_is_told_until_the_next_attempt(open_app: OpenApp, server: FakeServer) -> None:
    server.denies = True
    async with open_app() as pilot:
        await until_shown(pilot, "The server refused: wrong API key", "offline")
        await say(pilot, "hi")
        await until_shown(pilot, "(not sent: wrong API key)", "Not connected: wrong API key", "offline")
        server.denies = False
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.", "live")
        assert "Not connected" not in screen_text(pilot.app)
