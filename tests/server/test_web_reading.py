"""Reading a chat on the page, in a real browser."""

import base64
import json

import httpx

from tests.browser import Page
from tests.fake_engine import FakeEngine
from tests.server.page_user import SETTLED, begin, said, say, texts

AT_END = "(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight < 2)(transcript)"
HIDDEN = "document.querySelector('#newest').hidden"
LINES = "a line of a long message\n\n" * 60


async def pages_printed(tab: Page) -> int:
    printed = await tab.call("Page.printToPDF")
    return base64.b64decode(printed["data"]).count(b"/Type /Page\n")


async def test_a_button_leads_back_to_the_newest_line_while_a_reply_streams(
    tab: Page, url: str, engine: FakeEngine
) -> None:
    engine.reply = lambda _: [LINES, "more", LINES]
    engine.free = 2
    await begin(tab, url)
    await say(tab, "hi")
    await tab.until_shown("more", ".assistant .text")
    await tab.until(f"{AT_END} && {HIDDEN}")
    await tab.value("transcript.scrollTo(0, 200)")
    await tab.until(f"!{HIDDEN}")
    assert await tab.value("newest.innerText") == "↓ Newest"
    await tab.click("#newest")
    await tab.until(f"{AT_END} && {HIDDEN}")
    assert await tab.value("document.activeElement.id") == "transcript"
    engine.gate.set()
    await tab.until(f"{SETTLED} && {AT_END} && {HIDDEN}")


async def test_another_chat_begins_at_its_newest_line(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    one, other = [await said(http, word, LINES) for word in ("one", "other")]
    await begin(tab, f"{url}/#{one}")
    await tab.until(f"{AT_END} && document.querySelectorAll('.message').length === 2")
    await tab.value("transcript.scrollTo(0, 200)")
    await tab.until(f"!{HIDDEN}")
    await tab.value(f"location.hash = '{other}'")
    await tab.until_shown("other", "#messages")
    await tab.until(f"{AT_END} && {HIDDEN}")


async def test_a_window_that_grows_to_show_all_needs_no_button(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    conversation = await said(http, "one", "a\n\n" * 20)
    size = {"width": 800, "deviceScaleFactor": 1, "mobile": False}
    await tab.call("Emulation.setDeviceMetricsOverride", height=400, **size)
    await begin(tab, f"{url}/#{conversation}")
    await tab.until(f"{AT_END} && document.querySelectorAll('.message').length === 2")
    await tab.value("transcript.scrollTo(0, 0)")
    await tab.until(f"!{HIDDEN}")
    await tab.call("Emulation.setDeviceMetricsOverride", height=2000, **size)
    await tab.until(HIDDEN)


async def test_only_a_new_chat_says_what_to_do_with_it(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    conversation = await said(http, "one")
    hello = "document.querySelector('#hello').innerText === 'Say hello.' && !document.querySelector('#hello').hidden"
    await begin(tab, url)
    await tab.until(hello)
    await tab.value(f"location.hash = '{conversation}'")
    await tab.until(f"!({hello})")
    await tab.until_shown("aye", "#messages")
    await tab.click("#new")
    await tab.until(hello)
    await say(tab, "hello")
    await tab.until(f"!({hello})")


async def test_messages_stand_in_line_with_the_composer_and_are_printed_whole(
    tab: Page, url: str, engine: FakeEngine
) -> None:
    engine.reply = lambda request: [LINES] if request.messages[-1].text == "long" else ["short"]
    await begin(tab, url)
    places = (
        "[messages, composer].map(part => part.getBoundingClientRect()).flatMap(({ left, right }) => [left, right])"
    )
    before = await tab.value(places)
    assert before[:2] == before[2:]
    await say(tab, "long")
    await tab.until(SETTLED)
    assert await tab.value("transcript.scrollHeight > transcript.clientHeight")
    assert await tab.value(places) == before
    assert await pages_printed(tab) > 1


async def test_a_long_chat_is_read_page_by_page(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    conversation = await said(http, "first")
    for start in range(0, 60, 20):
        items = [{"role": "user", "content": f"word {number}"} for number in range(start, start + 20)]
        await http.post(f"/v1/conversations/{conversation}/items", json={"items": items})
    await tab.open(f"{url}/#{conversation}")
    await tab.until("document.querySelectorAll('.message').length === 40")
    assert (await texts(tab))[-1] == "word 59"
    await tab.value("document.querySelector('#transcript').scrollTo(0, 0)")
    await tab.until("document.querySelectorAll('.message').length === 62")
    assert (await texts(tab))[:3] == ["first", "aye", "word 0"]
    assert await tab.value("document.querySelector('#transcript').scrollTop") > 0


async def test_a_window_that_holds_a_whole_page_of_messages_shows_those_before_too(
    tab: Page, url: str, http: httpx.AsyncClient
) -> None:
    messages = [{"role": "user", "content": f"line {number}"} for number in range(60)]
    await http.post("/v1/conversations/import", content=json.dumps({"title": "Long", "messages": messages}))
    await tab.call("Emulation.setDeviceMetricsOverride", width=900, height=9000, deviceScaleFactor=1, mobile=False)
    await begin(tab, url)
    await tab.until("document.querySelectorAll('#conversations li').length === 1")
    await tab.click("#conversations a")
    await tab.until("document.querySelectorAll('.message').length === 60")
