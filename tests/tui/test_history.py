"""What was said before or elsewhere comes, once, and does not move who reads."""

import asyncio
from functools import partial

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from textual.geometry import Region

from chatbot.client import Client
from tests.tui import fake_server
from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer, Json
from tests.tui.held import held
from tests.tui.screens import chat_app, say, screen_text, until, until_shown
from tui.listing import CHATS_PAGE, LONGEST_PAGE, Listing
from tui.session import Session
from tui.shown import Shown
from tui.widgets.editor import Editor
from tui.widgets.message import MessageView
from tui.widgets.transcript import Transcript
from tui.widgets.window import NEWEST


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
        await until(pilot, lambda: "more below" not in screen_text(chat_app(pilot.app)))


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
        assert [m.text for m in chat_app(pilot.app).session.state.chats[0].messages] == [
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
        await until(pilot, lambda: len(chat_app(pilot.app).session.state.chats) == CHATS_PAGE + 1)
        chat_app(pilot.app).session.load_more_chats()
        await until(pilot, lambda: not chat_app(pilot.app).session.state.has_more_chats)
        assert len({chat.id for chat in chat_app(pilot.app).session.state.chats}) == CHATS_PAGE + 20


async def test_the_list_goes_on_when_its_last_conversation_was_deleted(open_app: OpenApp, server: FakeServer) -> None:
    for number in range(CHATS_PAGE + 20):
        server.add_conversation(f"Talk {number}", ("a", "b"))
    async with open_app() as pilot:
        session = chat_app(pilot.app).session
        await until(pilot, lambda: len(session.state.chats) == CHATS_PAGE)
        session.delete(session.state.chats[-1])
        await until(pilot, lambda: len(session.state.chats) == CHATS_PAGE - 1)
        session.load_more_chats()
        await until(pilot, lambda: not session.state.has_more_chats)
        assert len({chat.id for chat in session.state.chats}) == CHATS_PAGE + 19


async def test_a_very_long_list_is_read_anew_as_far_as_the_server_gives_it(server: FakeServer) -> None:
    for number in range(LONGEST_PAGE + 20):
        server.add_conversation(f"Talk {number}")
    async with Client(server.url) as client:
        listing = Listing(client, shown := Shown(lambda: None))
        await listing.load()
        while shown.state.has_more_chats:
            await listing.load_more()
        await listing.load()
        await listing.load_more()
        assert len({chat.id for chat in shown.state.chats}) == len(shown.state.chats) == LONGEST_PAGE + 20


async def test_a_chat_deleted_while_the_server_was_away_is_told(open_app: OpenApp, server: FakeServer) -> None:
    conversation = server.add_conversation("Sea", ("earlier", "before"))
    async with open_app() as pilot:
        await until_shown(pilot, "before")
        del server.conversations[conversation], server.items[conversation]
        await server.drop_sockets()
        await until_shown(pilot, "“Sea” was deleted elsewhere.")
        assert not chat_app(pilot.app).session.state.chats


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


async def test_a_server_that_fails_at_older_messages_is_asked_again_by_the_reader_alone(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_conversation("Long", *[(f"question {n};", f"answer {n};") for n in range(45)])
    page, asked = fake_server._page, list[str]()

    def failing(rows: list[Json], request: Request) -> JSONResponse:
        if "after" not in request.query_params:
            return page(rows, request)
        asked.append(request.query_params["after"])
        return fake_server._error(500, "internal_error", "something broke")

    monkeypatch.setattr(fake_server, "_page", failing)
    async with open_app() as pilot:
        await until_shown(pilot, "answer 44;")
        transcript, session = pilot.app.query_one(Transcript), chat_app(pilot.app).session

        def has_asked_at_the_top() -> bool:
            transcript.scroll_to(y=0, animate=False, immediate=True)
            return bool(asked)

        await until(pilot, has_asked_at_the_top)
        for times in (1, 2):
            for _ in range(5):
                await until(pilot, lambda: session.background.is_idle)
                transcript._watch_edges()
                await pilot.pause()
            assert len(asked) == times
            transcript.turn_page(-1)
            await until(pilot, lambda: len(asked) > times)  # noqa: B023


@pytest.fixture
def long_chat(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat of a hundred messages, of which sixty may be mounted."""
    monkeypatch.setattr("tui.widgets.window.LIMIT", 60)
    server.add_conversation("Long", *[(f"question {n};", f"answer {n};") for n in range(50)])


@pytest.mark.usefixtures("long_chat")
async def test_a_long_chat_is_read_back_and_on_with_few_messages_mounted(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "answer 49;")
        transcript, seen = pilot.app.query_one(Transcript), set[str]()

        def has_shown_all(pages: int) -> bool:
            assert len(transcript.query(".message")) <= 60
            seen.update(_texts_in_sight(transcript))
            transcript.turn_page(pages)
            return len(seen) == 100

        await until(pilot, partial(has_shown_all, -1), "every message on the way up")
        await until_shown(pilot, "question 0;", "more below")
        seen.clear()
        await until(pilot, partial(has_shown_all, 1), "every message on the way down")
        await until(pilot, lambda: "more below" not in screen_text(chat_app(pilot.app)))
        await until(pilot, lambda: len(transcript.query(".message")) == NEWEST)


@pytest.mark.usefixtures("long_chat")
async def test_from_far_back_a_key_leads_to_the_end_with_few_messages_mounted(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "answer 49;")
        transcript = pilot.app.query_one(Transcript)
        while "question 10;" not in screen_text(pilot.app):
            transcript.scroll_home(animate=False, immediate=True)
            await pilot.pause()
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.")
        await until(pilot, lambda: len(transcript.query(".message")) == NEWEST)
        await until(pilot, lambda: "more below" not in screen_text(chat_app(pilot.app)))


async def test_history_that_is_asked_for_twice_while_something_comes_comes_once(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = server.add_conversation("Long", *[(f"question {n};", f"answer {n};") for n in range(50)])
    async with open_app() as pilot:
        session = chat_app(pilot.app).session
        await until_shown(pilot, "answer 49;")
        await say(pilot, "hi")
        await until_shown(pilot, "Hello there.")
        await until(pilot, lambda: session.background.is_idle)
        answered = held(monkeypatch, session.client, "items")
        session.background.spawn(session.history.catch_up(name))
        await pilot.pause()
        session.load_older()
        session.load_older()
        answered.set()
        await until(pilot, lambda: session.background.is_idle)
        assert session.state.chat
        said = [message.text for message in session.state.chat.messages]
        assert (len(said), said.count("hi"), said[0]) == (82, 1, "question 10;")


async def test_history_goes_on_though_the_oldest_shown_message_was_deleted(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Long", *[(f"question {n};", f"answer {n};") for n in range(30)])
    async with open_app() as pilot:
        session = chat_app(pilot.app).session
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


async def test_a_reply_that_was_deleted_meanwhile_keeps_no_other_from_being_taken_up(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.ending = "incomplete"
    conversation = server.add_conversation("Sea")
    async with Client(server.url) as client:
        await (await client.send("one", conversation=conversation)).text()
        server.gate.clear()
        running = await client.send("two", conversation=conversation)
        del server.responses["resp_1"]
        async with open_app() as pilot:
            await until_shown(pilot, "live", "writing…")
            server.gate.set()
            await running.text()
            await until(pilot, lambda: "writing…" not in screen_text(pilot.app))
            await until_shown(pilot, "Hello there.")
            assert "refused" not in screen_text(pilot.app)


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


def _texts_in_sight(transcript: Transcript) -> set[str]:
    sight = Region(0, round(transcript.scroll_y), *transcript.scrollable_content_region.size)
    return {view.message.text for view in transcript.query(MessageView) if view.virtual_region.overlaps(sight)}


def _has_messages(transcript: Transcript, count: int) -> bool:
    return len(transcript.query(".message")) >= count


def _all_text(app: object) -> str:
    return " ".join(str(static.render()) for static in chat_app(app).query(".headline"))
