"""What is deleted is gone, here and at the server, whatever was on its way."""

import pytest

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.held import held
from tests.tui.screens import chat_app, say, screen_text, until, until_shown


@pytest.mark.parametrize("told", ["before its maker is answered", "later"])
async def test_a_chat_that_is_deleted_while_it_is_made_leaves_nothing(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        session = chat_app(pilot.app).session
        await until(pilot, lambda: session.state.is_loaded)
        answered = held(monkeypatch, server, "tell_made")
        if told == "later":
            monkeypatch.setattr(server, "tell_change", lambda conversation: None)
        await say(pilot, "a secret")
        await until(pilot, lambda: bool(server.conversations))
        session.delete(session.state.chats[0])
        await until_shown(pilot, "Say hello.")
        answered.set()
        await until(pilot, lambda: not server.conversations)
        await until(pilot, lambda: session.background.is_idle)
        assert not session.state.chats
        assert not server.creates


async def test_what_was_deleted_elsewhere_while_the_server_was_away_leaves_the_list(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Old", ("a", "old"))
    newest = server.add_conversation("Newest", ("a", "new"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "new")
        await say(pilot, "/open old")
        await until_shown(pilot, "old\n")
        server.accepts = False
        await server.drop_sockets()
        await until_shown(pilot, "offline")
        del server.conversations[newest], server.items[newest]
        server.accepts = True
        await until(pilot, lambda: "Newest" not in screen_text(pilot.app))


async def test_nothing_is_put_off_unseen_while_the_server_is_away(open_app: OpenApp, server: FakeServer) -> None:
    reply = server.items[server.add_conversation("Sea", ("a", "b"))][-1]
    reply["versions"] = [reply["id"], "msg_other"]
    async with open_app() as pilot:
        await until_shown(pilot, "live", "‹ 1/2 ›")
        server.accepts = False
        await server.drop_sockets()
        await until_shown(pilot, "offline")
        await say(pilot, "/rename Land")
        await until_shown(pilot, "That did not work: no server answers")
        await say(pilot, "/later")
        await until(pilot, lambda: screen_text(pilot.app).count("no server answers") == 2)
        await say(pilot, "/delete")
        await until_shown(pilot, "for good?")
        await pilot.press("y")
        await until(pilot, lambda: screen_text(pilot.app).count("no server answers") == 3)
        await say(pilot, "/export")
        await until_shown(pilot, "Nothing was written: no server answers")
    assert [body["title"] for body in server.conversations.values()] == ["Sea"]


async def test_a_chat_that_turns_out_to_be_deleted_when_it_is_opened_says_so(
    open_app: OpenApp, server: FakeServer
) -> None:
    old = server.add_conversation("Old", ("a", "old"))
    server.add_conversation("Newest", ("a", "new"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "new")
        del server.conversations[old], server.items[old]
        await say(pilot, "/open old")
        await until_shown(pilot, "“Old” was deleted elsewhere.", "Say hello.")
        assert [chat.title for chat in chat_app(pilot.app).session.state.chats] == ["Newest"]
