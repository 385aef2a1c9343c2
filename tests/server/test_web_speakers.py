"""Who can be chosen to answer on the page, in a real browser."""

import shutil
from pathlib import Path

import httpx

from chatbot.settings import Settings
from tests.browser import Page
from tests.conversation.test_personas import World
from tests.server.page_user import begin, said

NAMES = "[...document.querySelectorAll('#speaker option')].map(option => option.value)"


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
