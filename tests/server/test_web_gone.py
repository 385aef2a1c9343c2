"""What the page does where something it waits for or writes in is gone, in a real browser."""

import json

import httpx

from tests.browser import Page
from tests.server.page_user import LIVE, begin, said, say, texts

LOSE_FIRST_READ = """(() => {
  const real = window.fetch;
  const timeout = AbortSignal.timeout;
  let lost = null;
  AbortSignal.timeout = () => timeout.call(AbortSignal, 300);
  window.fetch = (path, options) => {
    if (lost || !path.includes("/items")) return real(path, options);
    lost = new Promise((_, fail) => options.signal?.addEventListener("abort", () => fail(options.signal.reason)));
    return lost;
  };
})()"""


async def test_a_read_that_is_never_answered_does_not_keep_every_chat_blank(
    tab: Page, url: str, http: httpx.AsyncClient
) -> None:
    one, other = await said(http, "one"), await said(http, "other")
    await begin(tab, url)
    await tab.until("document.querySelectorAll('#conversations li').length === 2")
    await tab.value(LOSE_FIRST_READ)
    await tab.value(f"location.hash = '{one}'")
    await tab.until("document.querySelector('#title').innerText === 'Chat of one'")
    await tab.until("getComputedStyle(messages, '::after').content.includes('Loading')")
    await tab.value(f"location.hash = '{other}'")
    await tab.until_shown("other", "#messages")
    await tab.until(LIVE)
    assert await texts(tab) == ["other", "aye"]


async def test_what_was_being_written_or_sent_outlives_the_chat(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    conversation = await said(http, "hello")
    await begin(tab, f"{url}/#{conversation}")
    await tab.until_shown("aye", "#messages")
    await tab.type("a long thought")
    await http.delete(f"/v1/conversations/{conversation}")
    await tab.until_shown("was deleted", "#note")
    assert await tab.value("document.querySelector('textarea').value") == "a long thought"
    assert await tab.value(f"sessionStorage['chatbot:draft:{conversation}']") is None
    frame = {"type": "response.create", "input": "said before", "conversation": conversation}
    frame |= dict.fromkeys(("idempotency_key", "event_id", "stream_id"), "key_1")
    await tab.value(f"sessionStorage['chatbot:outbox'] = {json.dumps(json.dumps([frame]))}")
    await tab.value(f"history.replaceState(null, '', '#{conversation}')")
    await tab.call("Page.reload")
    await tab.until("document.querySelector('textarea').value === 'a long thought\\n\\nsaid before'")
    assert await tab.value("location.hash") == ""
    assert conversation not in await tab.value("JSON.stringify({ ...sessionStorage })")


async def test_nothing_of_a_chat_that_is_deleted_is_kept(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    conversation = await said(http, "hello")
    await begin(tab, f"{url}/#{conversation}")
    await tab.until_shown("aye", "#messages")
    await say(tab, "long " * 60000)
    await tab.until("document.querySelector('.user.unsent')")
    await tab.type("a long thought")
    await tab.click("#new")
    await tab.until("location.hash === ''")
    assert conversation in await tab.value("Object.keys(sessionStorage).join()")
    await http.delete(f"/v1/conversations/{conversation}")
    await tab.until("document.querySelectorAll('#conversations li').length === 0")
    await tab.until(f"!Object.keys(sessionStorage).join().includes('{conversation}')")
