"""A message on the page asked anew before the server has told what it is called, in a real browser."""

import httpx
import pytest

from tests.browser import Page
from tests.fake_engine import FakeEngine
from tests.server.page_user import SETTLED, begin, said, say, texts

HOLD_ITEMS = """(() => {
  const released = new Promise(resolve => window.release = resolve);
  const real = window.fetch;
  window.fetch = async (...request) => { if (request[0].includes("/items")) await released; return real(...request); };
})()"""


@pytest.fixture
async def unnamed(tab: Page, url: str) -> Page:
    """A chat whose message is answered, and of whose items the page has not heard yet."""
    await begin(tab, url)
    await tab.value(HOLD_ITEMS)
    await say(tab, "one")
    await tab.until(SETTLED)
    return tab


async def test_a_reply_is_asked_for_again_once_its_message_has_a_name(unnamed: Page, engine: FakeEngine) -> None:
    await unnamed.click(".assistant .retry")
    await unnamed.value("release()")
    await unnamed.until("document.querySelector('.user .versions').innerText === '‹2/2›' && " + SETTLED)
    assert await texts(unnamed) == ["one", "you said: one"]
    assert [request.sampling.temperature for request in engine.requests][1:] == [0.8]


async def test_a_message_is_changed_once_it_has_a_name(unnamed: Page) -> None:
    await unnamed.click(".user .edit")
    await unnamed.type(" more")
    await unnamed.press("Enter")
    await unnamed.value("release()")
    await unnamed.until_shown("you said: one more", "#messages")
    assert await texts(unnamed) == ["one more", "you said: one more"]


async def test_what_was_changed_is_not_lost_if_another_chat_is_opened_first(
    unnamed: Page, http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    place = await unnamed.value("location.hash")
    await unnamed.click(".user .edit")
    await unnamed.type(" more")
    await unnamed.press("Enter")
    await unnamed.value(f"location.hash = '{await said(http, 'other')}'")
    await unnamed.value("release()")
    await unnamed.until_shown("other", "#messages")
    await unnamed.value(f"location.hash = '{place}'")
    await unnamed.until("document.querySelector('textarea').value === 'one more'")
    assert len(engine.requests) == 1


async def test_a_double_click_asks_again_once(tab: Page, url: str, engine: FakeEngine) -> None:
    await begin(tab, url)
    await say(tab, "one")
    await tab.until(SETTLED)
    await tab.value("(retry => { retry.click(); retry.click(); })(document.querySelector('.assistant .retry'))")
    await tab.until("document.querySelector('.user .versions').innerText === '‹2/2›' && " + SETTLED)
    await say(tab, "two")
    await tab.until_shown("you said: two", "#messages")
    assert await texts(tab) == ["one", "you said: one", "two", "you said: two"]
    assert len(engine.requests) == 3
