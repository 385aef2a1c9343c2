"""What could not be sent from the page is not lost and not sent twice, in a real browser."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from tests.browser import Page
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.server.page_user import LIVE, begin, said, say, texts

LONG = "word " * 400
UNSENT = "document.querySelector('.user.unsent')"
CUT_OFF_FIRST_ANSWER = """(real => window.fetch = async (...request) => {
  await real(...request);
  window.fetch = real;
  return new Response('{');
})(fetch)"""
HOLD_ANSWERS = "(real => window.fetch = (...request) => real(...request).then(() => new Promise(() => {})))(fetch)"
WRITTEN = "document.querySelector('textarea').value"


@pytest.fixture
async def refused(tab: Page, tmp_path: Path) -> AsyncIterator[tuple[Page, str]]:
    """A chat with a message that the server refused, and the id of another chat."""
    async with (
        live_server(tmp_path, FakeEngine(context_tokens=300)) as url,
        httpx.AsyncClient(base_url=url, verify=False) as http,
    ):
        one, other = await said(http, "hello"), await said(http, "other")
        await begin(tab, f"{url}/#{one}")
        await tab.until_shown("aye", "#messages")
        await say(tab, LONG)
        await tab.until(UNSENT)
        yield tab, other


async def away(tab: Page, tmp_path: Path) -> AbstractAsyncContextManager[str]:
    """Open the page on a blank chat, with another one beside it, take the server away, and return the next server."""
    engine = FakeEngine()
    async with live_server(tmp_path, engine) as url:
        async with httpx.AsyncClient(base_url=url, verify=False) as http:
            await said(http, "hello")
        await begin(tab, url)
        await tab.until("document.querySelector('#conversations li')")
    await tab.until_shown("No connection", "#state")
    return live_server(tmp_path, engine, port=int(url.rsplit(":", 1)[1]))


async def test_a_refused_message_is_there_after_another_chat_and_a_reload(refused: tuple[Page, str]) -> None:
    tab, other = refused
    place = await tab.value("location.hash")
    await tab.value(f"location.hash = '{other}'")
    await tab.until_shown("other", "#messages")
    assert not await tab.value(f"Boolean({UNSENT})")
    await tab.value(f"location.hash = '{place}'")
    await tab.until_shown("hello", "#messages")
    await tab.call("Page.reload")
    await tab.until(f"{LIVE} && {UNSENT}")
    await tab.until_shown("Not sent: the message needs 4", ".user.unsent")
    await tab.until_shown("hello", "#messages")
    assert await tab.value(f"{UNSENT}.querySelector('.text').textContent") == LONG


async def test_a_refused_message_is_gone_once_it_was_discarded(refused: tuple[Page, str]) -> None:
    tab, _ = refused
    await tab.click(".unsent .discard")
    assert not await tab.value(f"Boolean({UNSENT})")
    await tab.call("Page.reload")
    await tab.until(LIVE)
    await tab.until_shown("hello", "#messages")
    assert await texts(tab) == ["hello", "aye"]


async def test_what_waits_for_the_server_is_not_offered_as_a_draft_too(tab: Page, tmp_path: Path) -> None:
    server = await away(tab, tmp_path)
    await say(tab, "one")
    await tab.until("document.querySelector('.user.sending')")
    await tab.click("#conversations a")
    await tab.until("location.hash.length > 1")
    await tab.click("#new")
    await tab.until("location.hash === ''")
    assert await tab.value(WRITTEN) == ""
    await tab.type("a draft")
    async with server:
        await tab.until("document.querySelectorAll('#conversations li').length === 2")
        assert await tab.value(f"[{WRITTEN}, sessionStorage['chatbot:draft:new']]") == ["a draft", "a draft"]
        await tab.click("#conversations a")
        await tab.until_shown("you said: one", "#messages")
        assert await texts(tab) == ["one", "you said: one"]


async def test_all_that_was_said_in_a_new_chat_is_there_after_a_reload(tab: Page, tmp_path: Path) -> None:
    server = await away(tab, tmp_path)
    await say(tab, "one")
    await say(tab, "two")
    async with server:
        await tab.call("Page.reload")
        await tab.until_shown("you said: two", "#messages")
        assert await texts(tab) == ["one", "you said: one", "two", "you said: two"]
        assert await tab.value("document.querySelectorAll('#conversations li').length") == 2


async def test_a_new_chat_is_made_once_if_the_answer_is_cut_off_or_the_page_reloaded_before_it(
    tab: Page, url: str, http: httpx.AsyncClient
) -> None:
    await begin(tab, url)
    await tab.value(CUT_OFF_FIRST_ANSWER)
    await say(tab, "one")
    await tab.until_shown("you said: one", "#messages")
    await tab.click("#new")
    await tab.until("location.hash === ''")
    await tab.value(HOLD_ANSWERS)
    await say(tab, "two")
    await tab.until_shown("New conversation", "#conversations")
    await tab.call("Page.reload")
    await tab.until_shown("you said: two", "#messages")
    assert await texts(tab) == ["two", "you said: two"]
    made = (await http.get("/v1/conversations")).json()["data"]
    assert [conversation["title"] for conversation in made] == ["two", "one"]
