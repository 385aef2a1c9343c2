"""Who was chosen answers: in the chat where that was done, and whatever the server still says."""

import pytest

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.held import held
from tests.tui.screens import chat_app, say, until, until_shown


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
        session.choose_persona("poet")
        session.choose_persona("pirate")
        session.choose_persona("poet")
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
        session.choose_persona("pirate")
        goes_on = held(monkeypatch, server, "tell_made")
        await say(pilot, "one")
        await until(pilot, lambda: bool(server.conversations))
        session.choose_persona("poet")
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
        session.choose_persona("poet")
        await until_shown(pilot, "The server refused")
        server.conversations[conversation]["model"] = "parrot"
        server.tell_change(conversation)
        await until_shown(pilot, "parrot · live")
