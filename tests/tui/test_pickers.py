"""Dialogs in which something is picked: who answers, and which conversation."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from chatbot.client import RequestRejected
from tests.tui.conftest import OpenApp
from tests.tui.desk import opened_desk
from tests.tui.fake_server import FakeServer
from tests.tui.screens import assert_golden, chat_app, say, screen_text, until, until_shown
from tui.listing import CHATS_PAGE
from tui.session import Session
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
        assert_golden(chat_app(pilot.app), "persona_picker")
        await pilot.press("enter")
        await until_shown(pilot, "pirate · live")
        await until(pilot, lambda: server.conversations["conv_1"]["model"] == "pirate")
        await say(pilot, "hi")
        await until_shown(pilot, "Pirate")
        assert server.creates[0]["model"] == "pirate"


async def test_a_persona_that_was_made_since_answers_by_its_name(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "Sea")
        server.models.append(("parrot", True))
        await say(pilot, "/persona Parrot")
        await until_shown(pilot, "parrot · live")


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


async def test_a_search_says_how_it_goes_and_is_tried_again(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_conversation("Sea", ("my sister sails", "b"))
    server.add_conversation("Land", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "chatbot-mini · live", "Land")
        session = chat_app(pilot.app).session
        goes_on, find = asyncio.Event(), session.client.conversations

        async def refused(**_: object) -> None:
            await goes_on.wait()
            raise RequestRejected("the database is busy")

        monkeypatch.setattr(session.client, "conversations", refused)
        await say(pilot, "/search sister")
        await until_shown(pilot, "searching…")
        goes_on.set()
        await until_shown(pilot, "the database is busy")
        session._connection_changed("lost")
        await pilot.press("enter")
        await until_shown(pilot, "no server answers")
        session._connection_changed("live")
        monkeypatch.setattr(session.client, "conversations", find)
        await pilot.press("enter")
        await until(pilot, lambda: _found(pilot.app) == ["conv_1"])
        assert "Enter tries again" not in screen_text(pilot.app)


async def test_a_conversation_beyond_the_list_opens_by_its_title(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Old one", ("a", "bee"))
    for number in range(CHATS_PAGE + 2):
        server.add_conversation(f"New {number}", ("c", "dee"))
    async with open_app() as pilot:
        await until_shown(pilot, "dee")
        await say(pilot, "/open Old one")
        await until_shown(pilot, "bee")
        await say(pilot, f"/open Nowhere{' at all' * 99}")
        told = "No conversation is called “Nowhere at all at all at all at all at …”."
        await until(pilot, lambda: [toast.message for toast in pilot.app._notifications] == [told])
        await say(pilot, "/open")
        await until(pilot, lambda: len(_found(pilot.app)) == CHATS_PAGE)


async def test_the_whole_title_is_what_is_meant_before_a_part_of_another(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Sea", ("a", "bee"))
    for number in range(CHATS_PAGE + 2):
        server.add_conversation(f"Seaside {number}", ("c", "dee"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "dee")
        await say(pilot, "/open Sea")
        await until_shown(pilot, "bee")
        await say(pilot, "/open side 9")
        await until_shown(pilot, "Seaside 9\n", "dee")


async def test_a_title_that_cannot_be_looked_up_is_not_said_to_be_nowhere(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "Sea")
        app = chat_app(pilot.app)

        async def refused(_: str) -> None:
            raise RequestRejected("the database is busy")

        monkeypatch.setattr(app.session.client, "conversation_titled", refused)
        await say(pilot, "/open Old one")
        await until_shown(pilot, "busy")
        app.session._connection_changed("lost")
        await say(pilot, "/open Old one")
        await until_shown(pilot, "answers")


def _found(app: App[int]) -> list[str | None]:
    return [option.id for listing in app.screen.query(OptionList) for option in listing.options]


async def lines_of(conversation: object) -> AsyncIterator[bytes]:
    yield json.dumps(conversation).encode()


async def test_what_is_found_shows_its_place_and_opens_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_desk(tmp_path) as desk:
        said = [{"role": "user", "content": f"line {number} of many"} for number in range(100)]
        said[7]["content"] = "my sister sails"
        await desk.client.import_lines(lines_of({"title": "Long", "messages": said}))
        one = await desk.terminal()
        await until_shown(one, "line 99 of many")
        with monkeypatch.context() as near:
            near.setattr("tui.history.FARTHEST_PAGES", 0)
            await open_found(one, "sister")
            await until_shown(one, "What was found is further back")
        await one.press("ctrl+f")
        await until(one, lambda: bool(one.app.screen.query(Input)))
        await one.press(*"sister")
        await until_shown(one, "my sister sails")
        await one.press("enter")
        await until(one, lambda: len(one.app.screen_stack) == 1)
        await until_shown(one, "▸ You", "my sister sails")
        assert "line 99 of many" not in screen_text(one.app)
        await one.press("ctrl+end")
        await until_shown(one, "line 99 of many")


async def test_what_is_found_in_a_version_that_is_not_shown_is_told(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        one = await desk.terminal()
        for line in ("red", "/edit green"):
            await say(one, line)
            await until_shown(one, f"you said: {line.split()[-1]}")
        await open_found(one, "red")
        await until_shown(one, "in a version that is not shown", "you said: green")


async def open_found(pilot: Pilot[int], words: str) -> None:
    """Search for words and open the one conversation that has them."""
    await say(pilot, f"/search {words}")
    await until(pilot, lambda: len(_found(pilot.app)) == 1)
    await pilot.press("enter")
    await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
