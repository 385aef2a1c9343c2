"""The page at `/` in a real browser: what its user does and sees."""

import json
from pathlib import Path

import httpx

from chatbot.settings import Settings
from tests.browser import Page
from tests.conversation.test_personas import World
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.server.page_user import LIVE, SETTLED, begin, said, say, texts

KEY = "sk-secret_1"


async def choose(tab: Page, speaker: str) -> None:
    await tab.value(f"document.querySelector('#speaker').value = '{speaker}'")
    await tab.value("document.querySelector('#speaker').dispatchEvent(new Event('change'))")


async def test_a_reply_is_streamed_and_is_there_after_a_reload(tab: Page, url: str, engine: FakeEngine) -> None:
    engine.free = 2
    await begin(tab, url)
    await say(tab, "ahoy there friend")
    await tab.until_shown("you said:", ".assistant .text")
    assert "friend" not in await tab.value("document.querySelector('.assistant').innerText")
    engine.gate.set()
    await tab.until(SETTLED)
    whole = ["ahoy there friend", "you said: ahoy there friend"]
    assert await texts(tab) == whole
    await tab.call("Page.reload")
    await tab.until(f"{LIVE} && {SETTLED}")
    assert await texts(tab) == whole
    await tab.until_shown("ahoy there friend", "#conversations [aria-current]")


async def test_a_reload_in_the_middle_of_a_reply_loses_nothing(tab: Page, url: str, engine: FakeEngine) -> None:
    engine.free = 2
    await begin(tab, url)
    await say(tab, "ahoy there")
    await tab.until_shown("you said:", ".assistant .text")
    await tab.call("Page.reload")
    await tab.until_shown("you said:", ".assistant .text")
    engine.gate.set()
    await tab.until(SETTLED)
    assert await texts(tab) == ["ahoy there", "you said: ahoy there"]


async def test_a_message_that_was_not_acknowledged_before_a_reload_is_sent_once(
    tab: Page, url: str, http: httpx.AsyncClient
) -> None:
    conversation = await said(http, "hello")
    frame = {"type": "response.create", "input": "more", "conversation": conversation}
    frame |= dict.fromkeys(("idempotency_key", "event_id", "stream_id"), "key_1")
    await tab.open(f"{url}/#{conversation}")
    await tab.until(LIVE)
    for _ in range(2):
        await tab.value(f"sessionStorage['chatbot:outbox'] = {json.dumps(json.dumps([frame]))}")
        await tab.call("Page.reload")
        await tab.until("!sessionStorage['chatbot:outbox']")
        await tab.until_shown("you said: more", "#messages")
    stored = (await http.get(f"/v1/conversations/{conversation}/items")).json()["data"]
    assert [item["content"][0]["text"] for item in stored] == ["you said: more", "more", "aye", "hello"]


async def test_a_server_with_a_key_asks_for_it_and_says_if_it_is_wrong(tab: Page, tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine(), api_key=KEY) as url:
        await tab.open(url)
        await tab.until_shown("asks for its API key", "dialog")
        await tab.type("wrong")
        await tab.press("Enter")
        await tab.until_shown("does not take this key", "dialog")
        await tab.type(KEY)
        await tab.press("Enter")
        await tab.until(LIVE)
        await say(tab, "hi")
        await tab.until(SETTLED)
        assert await tab.value("[sessionStorage['chatbot:key'], localStorage['chatbot:key']]") == [KEY, None]
        await tab.call("Page.reload")
        await tab.until(f"{LIVE} && {SETTLED}")


async def test_a_key_is_remembered_only_if_the_user_wants_it(tab: Page, tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine(), api_key=KEY) as url:
        await tab.open(url)
        await tab.click("dialog input[type=checkbox]")
        await tab.value("document.querySelector('dialog input[type=password]').focus()")
        await tab.type(KEY)
        await tab.press("Enter")
        await tab.until(LIVE)
        assert await tab.value("localStorage['chatbot:key']") == KEY


async def test_a_lost_server_is_told_and_what_was_said_meanwhile_is_sent_once(tab: Page, tmp_path: Path) -> None:
    engine = FakeEngine()
    async with live_server(tmp_path, engine) as url:
        port = int(url.rsplit(":", 1)[1])
        await begin(tab, url)
        await say(tab, "one")
        await tab.until(SETTLED)
    await tab.until_shown("No connection", "#state")
    await say(tab, "two")
    await tab.until("document.querySelector('.user.sending')")
    async with live_server(tmp_path, engine, port=port):
        await tab.until("document.querySelectorAll('.assistant.completed').length === 2")
        whole = ["one", "you said: one", "two", "you said: two"]
        assert await texts(tab) == whole
        await tab.call("Page.reload")
        await tab.until(f"{LIVE} && {SETTLED}")
        assert await texts(tab) == whole


async def test_a_new_chat_begun_while_the_server_is_away_is_made_when_it_is_back(tab: Page, tmp_path: Path) -> None:
    engine = FakeEngine()
    async with live_server(tmp_path, engine) as url:
        port = int(url.rsplit(":", 1)[1])
        await begin(tab, url)
    await tab.until_shown("No connection", "#state")
    await say(tab, "one")
    await tab.until("document.querySelector('.user.sending')")
    async with live_server(tmp_path, engine, port=port) as url:
        await tab.until(SETTLED)
        assert await texts(tab) == ["one", "you said: one"]
        async with httpx.AsyncClient(base_url=url, verify=False) as http:
            assert len((await http.get("/v1/conversations")).json()["data"]) == 1
        await tab.call("Page.reload")
        await tab.until(f"{LIVE} && {SETTLED}")
        assert await texts(tab) == ["one", "you said: one"]


async def test_what_others_say_rename_and_delete_shows_at_once(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    conversation = await said(http, "hello")
    await tab.open(f"{url}/#{conversation}")
    await tab.until_shown("aye", "#messages")
    await http.post("/v1/responses", json={"conversation": conversation, "input": "more"})
    await tab.until_shown("you said: more", "#messages")
    assert await texts(tab) == ["hello", "aye", "more", "you said: more"]
    await http.post(f"/v1/conversations/{conversation}", json={"title": "Sea"})
    await tab.until("document.querySelector('#title').innerText === 'Sea'")
    await tab.until_shown("Sea", "#conversations")
    await http.delete(f"/v1/conversations/{conversation}")
    await tab.until_shown("was deleted", "#note")
    assert await tab.value("document.querySelectorAll('#conversations li').length") == 0


async def test_a_reply_is_stopped_and_asked_for_again(tab: Page, url: str, engine: FakeEngine) -> None:
    engine.free = 2
    await begin(tab, url)
    await say(tab, "ahoy there")
    await tab.until_shown("you said:", ".assistant .text")
    await tab.press("Escape")
    await tab.until_shown("Stopped.", ".assistant")
    await tab.click(".assistant .retry")
    await tab.until_shown("you said:", ".assistant.streaming .text")
    await tab.value("document.querySelector('#stop').focus()")
    await tab.press("Enter")
    await tab.until_shown("Stopped.", ".assistant")
    await tab.until("document.activeElement.tagName === 'TEXTAREA'")
    engine.free = None
    await tab.value("document.querySelector('.assistant .retry').focus()")
    await tab.press("Enter")
    await tab.until(SETTLED)
    assert await tab.value("document.activeElement === document.querySelector('.assistant')")
    assert await texts(tab) == ["ahoy there", "you said: ahoy there"]
    assert engine.requests[-1].sampling.temperature == 0.8


async def test_the_last_message_is_changed_in_its_place(tab: Page, url: str) -> None:
    await begin(tab, url)
    await say(tab, "one")
    await tab.until(SETTLED)
    await tab.value("document.querySelector('textarea').focus()")
    await tab.type("half-typed")
    await tab.click(".user .edit")
    await tab.until_shown("changing your last message; it and its reply stay", "#changing")
    await tab.type(" more")
    await tab.press("Enter")
    await tab.until_shown("you said: one more", "#messages")
    await tab.until(SETTLED)
    assert await texts(tab) == ["one more", "you said: one more"]
    assert await tab.value("document.querySelector('textarea').value") == "half-typed"


async def test_any_message_is_changed_and_what_followed_it_stays_beside(tab: Page, url: str) -> None:
    await begin(tab, url)
    for word in ("one", "two"):
        await say(tab, word)
        await tab.until_shown(f"you said: {word}", "#messages")
        await tab.until(SETTLED)
    await tab.click(".user .edit")
    await tab.until_shown("changing an earlier message; it and what followed stay", "#changing")
    await tab.type(" more")
    await tab.press("Enter")
    await tab.until_shown("you said: one more", "#messages")
    await tab.until("document.querySelector('.user .versions').innerText === '‹2/2›'")
    assert await texts(tab) == ["one more", "you said: one more"]
    await tab.value("document.querySelector('.user .version').click()")
    await tab.until_shown("you said: two", "#messages")
    await tab.value("document.querySelector('.assistant .retry').click()")
    await tab.until("document.querySelector('.user .versions').innerText === '‹3/3›' && " + SETTLED)
    assert await texts(tab) == ["one", "you said: one"]


async def test_what_was_said_before_a_message_was_changed_is_there_beside_it(tab: Page, url: str) -> None:
    await begin(tab, url)
    await say(tab, "red")
    await tab.until(SETTLED)
    assert await tab.value("document.querySelectorAll('.version').length") == 0
    await tab.value("document.querySelector('.edit').click()")
    await tab.type("dish")
    await tab.press("Enter")
    await tab.until("document.querySelector('.user .versions').innerText === '‹2/2›'")
    await tab.value("document.querySelector('.user .version').click()")
    await tab.until("document.querySelector('.user .versions').innerText === '‹1/2›'")
    assert await texts(tab) == ["red", "you said: red"]
    await say(tab, "green")
    await tab.until("document.querySelectorAll('.message').length === 4 && " + SETTLED)
    await tab.value("document.querySelector('.user .version:last-child').click()")
    await tab.until("document.querySelector('.user .versions').innerText === '‹2/2›'")
    assert await texts(tab) == ["reddish", "you said: reddish"]


async def test_the_user_chooses_who_answers(
    tab: Page, url: str, http: httpx.AsyncClient, engine: FakeEngine, tmp_path: Path
) -> None:
    World(Settings(home=tmp_path).data_dir).publish("pirate")
    await begin(tab, url)
    await choose(tab, "pirate")
    await say(tab, "hi")
    await tab.until(SETTLED)
    assert engine.requests[-1].adapter is not None
    await tab.until_shown("Pirate", ".assistant .speaker")
    (conversation,) = (await http.get("/v1/conversations")).json()["data"]
    assert conversation["model"] == "pirate"
    await tab.call("Page.reload")
    await tab.until(f"{LIVE} && document.querySelector('#speaker').value === 'pirate'")
    await choose(tab, "fake")
    await say(tab, "ho")
    await tab.until_shown("you said: ho", "#messages")
    assert [request.adapter is None for request in engine.requests] == [False, True]
    await tab.call("Page.reload")
    await tab.until("document.querySelectorAll('.assistant .speaker').length === 2")
    names = "[...document.querySelectorAll('.assistant .speaker')].map(speaker => speaker.innerText)"
    assert await tab.value(names) == ["Pirate", "Assistant"]


async def test_a_draft_outlives_a_reload_and_belongs_to_its_chat(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    conversation = await said(http, "hello")
    await tab.open(f"{url}/#{conversation}")
    await tab.until(LIVE)
    await tab.type("a draft")
    await tab.press("Enter", shift=True)
    await tab.type("of two lines")
    await tab.call("Page.reload")
    await tab.until(f"{LIVE} && document.querySelector('textarea').value === 'a draft\\nof two lines'")
    await tab.click("#new")
    await tab.until("document.querySelector('textarea').value === ''")


async def test_a_message_that_is_refused_stays_and_says_why(tab: Page, tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine(context_tokens=300)) as url:
        await begin(tab, url)
        await say(tab, "word " * 400)
        await tab.until("document.querySelector('.user.unsent')")
        await tab.until_shown("Not sent: the message needs 4", ".user")
        assert (await tab.value("document.querySelector('.user .remark').innerText")).endswith("the longest of them.")
        await tab.click(".user .edit")
        await tab.until_shown("changing a message that was not sent", "#changing")
        await tab.press("Escape")
        await say(tab, "hi")
        await tab.until_shown("you said: hi", "#messages")
