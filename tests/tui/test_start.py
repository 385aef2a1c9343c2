"""The screen is there before the server is."""

import asyncio
from pathlib import Path

import pytest
from textual import events

import tui
from tests.tui.fake_server import FakeServer
from tests.tui.screens import say, until, until_shown
from tui.app import UNREACHABLE, ChatApp
from tui.widgets.editor import Editor


async def test_what_is_typed_while_the_server_starts_is_sent_once_it_is_there(server: FakeServer) -> None:
    started = asyncio.Event()

    async def ensure() -> str:
        await started.wait()
        return server.url

    async with ChatApp(None, ensure=ensure).run_test(size=(110, 30)) as pilot:
        await until_shown(pilot, "Say hello.", "starting…")
        await say(pilot, "hi")
        started.set()
        await until_shown(pilot, "Hello there.", "live")
    assert [create["input"] for create in server.creates] == ["hi"]


async def test_a_conversation_asked_for_by_a_new_title_gets_that_title(server: FakeServer) -> None:
    server.add_conversation("Old", ("a", "b"))
    app = ChatApp(server.url, conversation="Diary")
    async with app.run_test(size=(110, 30)) as pilot:
        await until_shown(pilot, "live", "Diary", "Old")
        app.session.delete(app.session.state.chats[0])
        await until(pilot, lambda: not server.conversations and app.session.background.is_idle)
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.")
    assert [body["title"] for body in server.conversations.values()] == ["Diary"]


async def test_what_is_typed_early_goes_to_the_conversation_that_was_asked_for(server: FakeServer) -> None:
    server.add_conversation("Notes", ("my name is Mira", "Nice name."))
    started = asyncio.Event()

    async def ensure() -> str:
        await started.wait()
        return server.url

    async with ChatApp(None, ensure=ensure, conversation="Notes").run_test(size=(110, 30)) as pilot:
        await until_shown(pilot, "starting…")
        await say(pilot, "hi again")
        started.set()
        await until_shown(pilot, "my name is Mira", "hi again", "Hello there.")
    assert list(server.conversations) == ["conv_1"]


async def test_a_new_conversation_asked_for_early_stays_new(server: FakeServer) -> None:
    server.add_conversation("Notes", ("my name is Mira", "Nice name."))
    started = asyncio.Event()

    async def ensure() -> str:
        await started.wait()
        return server.url

    async with ChatApp(None, ensure=ensure).run_test(size=(110, 30)) as pilot:
        await until_shown(pilot, "starting…")
        await pilot.press("ctrl+n", *"something new")
        started.set()
        await until_shown(pilot, "live", "Notes", "something new")
        await pilot.press("enter")
        await until_shown(pilot, "Hello there.")
    assert list(server.conversations) == ["conv_1", "conv_2"]


async def test_what_is_typed_in_an_unsent_chat_is_there_when_it_has_its_real_name(server: FakeServer) -> None:
    started = asyncio.Event()

    async def ensure() -> str:
        await started.wait()
        return server.url

    app = ChatApp(None, ensure=ensure)
    async with app.run_test(size=(110, 30)) as pilot:
        editor = pilot.app.query_one(Editor)
        await say(pilot, "hi")
        await until_shown(pilot, "hi")
        await pilot.press(*"and then", "ctrl+n")
        await until(pilot, lambda: not editor.text)
        started.set()
        await until(pilot, lambda: [chat.title for chat in app.session.state.chats] == ["hi"])
        await say(pilot, "/open hi")
        await until(pilot, lambda: editor.text == "and then")


async def test_leaving_with_an_unsent_message_asks_twice(server: FakeServer) -> None:
    async def ensure() -> str:
        await asyncio.Event().wait()
        return server.url

    app = ChatApp(None, ensure=ensure)
    async with app.run_test(size=(110, 30), notifications=True) as pilot:
        await say(pilot, "hi")
        await say(pilot, "/retry")
        await until_shown(pilot, "still on its way")
        await pilot.press("ctrl+q")
        await until_shown(pilot, "has not reached the server")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_code is not None)
    assert app.return_value == 0


async def test_a_server_that_cannot_start_ends_the_app_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def ensure() -> str:
        raise RuntimeError("no model directory at \x1b]0;[/nowhere]")

    app = ChatApp(None, ensure=ensure)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.return_code is not None)
    assert app.return_value == UNREACHABLE
    assert capsys.readouterr().err.endswith("no model directory at ]0;[/nowhere]\n")


async def test_what_is_typed_before_there_is_an_editor_stands_in_it_in_order(server: FakeServer) -> None:
    class Hurried(ChatApp):
        """Its user types before anything is drawn, and goes on just then."""

        CSS_PATH = str(Path(tui.__file__).with_name("tui.tcss"))

        def on_load(self) -> None:
            self._type("ab")

        def on_mount(self) -> None:
            self.call_after_refresh(self._type, "cd")
            super().on_mount()

        def _type(self, text: str) -> None:
            for letter in text:
                self.post_message(events.Key(letter, letter))

    async with Hurried(server.url).run_test(size=(110, 30)) as pilot:
        await until_shown(pilot, "live")
        await until(pilot, lambda: pilot.app.query_one(Editor).text == "abcd")
