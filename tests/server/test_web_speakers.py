"""Who can be chosen to answer on the page, in a real browser."""

import shutil
from pathlib import Path

import httpx

from chatbot.settings import Settings
from tests.browser import Page
from tests.conversation.test_personas import World
from tests.fake_engine import FakeEngine
from tests.server.page_user import begin, said, say

HOLD_CONVERSATIONS = """(real => window.fetch = (path, options) =>
  path.match(/conversations[^/]*$/) ? new Promise(() => {}) : real(path, options))(fetch)"""
NAMES = "[...document.querySelectorAll('#speaker option')].map(option => option.value)"


async def test_who_answers_in_a_chat_answers_before_the_page_knows_who_that_is(
    tab: Page, url: str, http: httpx.AsyncClient, engine: FakeEngine, tmp_path: Path
) -> None:
    World(Settings(home=tmp_path).data_dir).publish("pirate")
    one = await said(http, "hello")
    await http.post(f"/v1/conversations/{one}", json={"model": "pirate"})
    await tab.call("Page.addScriptToEvaluateOnNewDocument", source=HOLD_CONVERSATIONS)
    await begin(tab, f"{url}/#{one}")
    await say(tab, "hi")
    await tab.until_shown("you said: hi", "#messages")
    await tab.until_shown("Pirate", ".assistant:last-child .speaker")
    assert engine.requests[-1].adapter is not None


async def test_a_persona_that_is_gone_is_offered_once_and_only_where_it_answers(
    tab: Page, url: str, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    world = World(Settings(home=tmp_path).data_dir)
    world.publish("pirate")
    one, other = await said(http, "hello"), await said(http, "other")
    await http.post(f"/v1/conversations/{one}", json={"model": "pirate"})
    shutil.rmtree(world.root / "adapters" / "pirate")
    await begin(tab, f"{url}/#{one}")
    for title in ("Sea", "Lake"):
        await http.post(f"/v1/conversations/{one}", json={"title": title})
        await tab.until(f"document.querySelector('#title').innerText === '{title}'")
    assert await tab.value(NAMES) == ["fake", "pirate"]
    await tab.value(f"location.hash = '{other}'")
    await tab.until_shown("other", "#messages")
    assert await tab.value(NAMES) == ["fake"]
