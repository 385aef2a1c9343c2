"""What is asked of the page while the server is away: done later, or said not to be done. In a real browser."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from chatbot.settings import Settings
from tests.browser import Page
from tests.conversation.test_personas import World
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.server.page_user import LIVE, begin, said, say, texts
from tests.server.test_web_chat import choose

Server = AbstractAsyncContextManager[str]


@pytest.fixture
async def away(tab: Page, tmp_path: Path) -> tuple[Page, Server]:
    """A chat that is open on the page, with a persona to choose, whose server went away; and the next server."""
    engine = FakeEngine()
    World(Settings(home=tmp_path).data_dir).publish("pirate")
    async with live_server(tmp_path, engine) as url:
        async with httpx.AsyncClient(base_url=url, verify=False) as http:
            conversation = await said(http, "hello")
        await begin(tab, f"{url}/#{conversation}")
        await tab.until_shown("aye", "#messages")
        await tab.until("document.querySelector('#conversations li')")
    await tab.until_shown("No connection", "#state")
    return tab, live_server(tmp_path, engine, port=int(url.rsplit(":", 1)[1]))


async def model_at(url: str) -> str | None:
    async with httpx.AsyncClient(base_url=url, verify=False) as http:
        model: str | None = (await http.get("/v1/conversations")).json()["data"][0]["model"]
        return model


async def test_who_was_chosen_meanwhile_answers(away: tuple[Page, Server]) -> None:
    tab, server = away
    await choose(tab, "pirate")
    async with server as url:
        await tab.until(LIVE)
        await say(tab, "hi")
        await tab.until_shown("Pirate", ".assistant:last-child .speaker")
        await tab.until_shown("you said: hi", "#messages")
        assert await tab.value("document.querySelector('#speaker').value") == "pirate"
        assert await model_at(url) == "pirate"


async def test_who_was_chosen_after_the_first_words_of_a_new_chat_answers_there(away: tuple[Page, Server]) -> None:
    tab, server = away
    await tab.click("#new")
    await tab.until("location.hash === ''")
    await say(tab, "one")
    await tab.until("document.querySelector('.user.sending')")
    await choose(tab, "pirate")
    async with server as url:
        await tab.until_shown("you said: one", "#messages")
        await tab.until_shown("one", "#conversations")
        assert await tab.value("document.querySelector('#speaker').value") == "pirate"
        assert await model_at(url) == "pirate"


async def test_who_was_chosen_and_what_was_said_stay_with_a_chat_that_is_left(away: tuple[Page, Server]) -> None:
    tab, server = away
    await choose(tab, "pirate")
    await say(tab, "hi")
    await tab.click("#new")
    await tab.until("location.hash === ''")
    assert await tab.value("document.querySelector('#speaker').value") == "fake"
    await tab.click("#conversations a")
    await tab.until("document.querySelector('#title').innerText === 'Chat of hello'")
    await tab.until_shown("hi", ".user.sending")
    assert await tab.value("document.querySelector('#speaker').value") == "pirate"
    await tab.click("#new")
    async with server as url:
        await tab.until(LIVE)
        while await model_at(url) != "pirate":
            await asyncio.sleep(0.01)
        await tab.click("#conversations a")
        await tab.until_shown("aye", "#messages")
        await tab.until_shown("you said: hi", "#messages")
        assert await texts(tab) == ["hello", "aye", "hi", "you said: hi"]


async def test_what_is_not_done_is_said(away: tuple[Page, Server]) -> None:
    tab, _ = away
    await tab.click("#conversations .rename")
    await tab.type("Sea")
    await tab.press("Enter")
    await tab.until_shown("It was not done: The server cannot be reached.", "#note")
    await tab.value("note.textContent = ''")
    await tab.click(".assistant .retry")
    await tab.until_shown("It was not done", "#note")
    await tab.value("document.querySelector('#search').focus()")
    await tab.type("hello")
    await tab.until_shown("could not be read", "#end")
    assert await tab.value("document.querySelectorAll('#conversations li').length") == 0
