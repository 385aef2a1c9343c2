"""What is chosen for a chat holds there, whatever is open by then, and whatever the server still says."""

import pytest
from textual.widgets import Input

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.held import held
from tests.tui.screens import chat_app, say, screen_text, until, until_shown


async def test_who_was_chosen_in_mid_answer_gets_the_next_message(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = server.add_conversation("Sea", ("a", "b"), model="pirate")
    server.gate.clear()
    async with open_app() as pilot:
        await until_shown(pilot, "pirate · live", "Sea")
        session = chat_app(pilot.app).session
        goes_on = held(monkeypatch, session.client, "set_model")
        await say(pilot, "one")
        await until_shown(pilot, "writing…")
        session.choose_persona(session.state.sheet, "poet")
        session.choose_persona(session.state.sheet, "pirate")
        session.choose_persona(session.state.sheet, "poet")
        server.gate.set()
        await until_shown(pilot, "Hello there.")
        await until(pilot, lambda: server.changes == session.state.chats[0].change)
        await say(pilot, "two")
        await until(pilot, lambda: len(server.creates) == 2)
        assert [frame["model"] for frame in server.creates] == ["pirate", "poet"]
        goes_on.set()
        await until(pilot, lambda: session.state.chats[0].wanted_persona is None)
        await until_shown(pilot, "poet")
        assert server.conversations[conversation]["model"] == "poet"


async def test_who_was_chosen_while_a_chat_was_made_answers_in_it(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        session = chat_app(pilot.app).session
        session.choose_persona(session.state.sheet, "pirate")
        goes_on = held(monkeypatch, server, "tell_made")
        await say(pilot, "one")
        await until(pilot, lambda: bool(server.conversations))
        session.choose_persona(session.state.sheet, "poet")
        goes_on.set()
        await until(pilot, lambda: bool(server.creates))
        assert server.creates[0]["model"] == "poet"
        await until(pilot, lambda: server.conversations["conv_1"]["model"] == "poet")


async def test_another_terminals_choice_counts_once_ours_was_refused(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = server.add_conversation("Sea", ("a", "b"), model="pirate")
    async with open_app() as pilot:
        await until_shown(pilot, "pirate · live", "Sea")
        session = chat_app(pilot.app).session
        server.refuses_changes = True
        session.choose_persona(session.state.sheet, "poet")
        await until_shown(pilot, "The server refused")
        server.conversations[conversation]["model"] = "parrot"
        server.tell_change(conversation)
        await until_shown(pilot, "parrot · live")


async def test_who_was_named_answers_in_the_chat_where_that_was_typed(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = server.add_conversation("Land", ("a", "on land"), model="pirate")
    conversation = server.add_conversation("Sea", ("a", "at sea"), model="pirate")
    async with open_app() as pilot:
        await until_shown(pilot, "pirate · live", "at sea")
        session = chat_app(pilot.app).session
        goes_on = held(monkeypatch, session.client, "models")
        await say(pilot, "/persona poet")
        session.open(other)
        await until_shown(pilot, "on land")
        goes_on.set()
        await until(pilot, lambda: server.conversations[conversation]["model"] == "poet")
        assert server.conversations[other]["model"] == "pirate"


async def test_a_title_goes_to_the_chat_for_which_it_was_asked(open_app: OpenApp, server: FakeServer) -> None:
    other = server.add_conversation("Land", ("a", "on land"))
    server.add_conversation("Sea", ("a", "at sea"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "at sea")
        await say(pilot, "/rename")
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
        chat_app(pilot.app).session.open(other)
        await pilot.press(*"Coast", "enter")
        await until_shown(pilot, "Coast", "Land")


async def test_a_chat_that_is_made_while_its_deletion_is_asked_about_is_deleted(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        goes_on = held(monkeypatch, server, "tell_made")
        await say(pilot, "one")
        await say(pilot, "/delete")
        await until_shown(pilot, "for good?")
        goes_on.set()
        await until(pilot, lambda: bool(server.creates))
        await pilot.press("y")
        await until(pilot, lambda: not server.conversations)
        await until_shown(pilot, "Say hello.")


async def test_a_refusal_is_told_in_the_chat_for_which_it_was_asked(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = server.add_conversation("Land", ("a", "on land"))
    server.add_conversation("Sea", ("a", "at sea"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "at sea")
        session = chat_app(pilot.app).session
        server.refuses_changes = True
        goes_on = held(monkeypatch, session.client, "rename")
        await say(pilot, "/rename Ocean")
        session.open(other)
        await until_shown(pilot, "on land")
        goes_on.set()
        await until_shown(pilot, "● Sea", "on land")
        assert "refused" not in screen_text(pilot.app)
        await say(pilot, "/open sea")
        await until_shown(pilot, "at sea", "The server refused: this cannot be changed")
