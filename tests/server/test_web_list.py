"""The list of conversations on the page, in a real browser."""

import json

import httpx

from tests.browser import Page
from tests.server.page_user import said


async def test_the_list_goes_on_and_is_searched(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    for number in range(60):
        await said(http, f"thing {number}")
    await tab.open(url)
    await tab.until("document.querySelectorAll('#conversations li').length >= 50")
    assert await tab.value("document.querySelector('#conversations a').innerText") == "Chat of thing 59"
    await tab.value("document.querySelector('#listing').scrollTo(0, 1e6)")
    await tab.until("document.querySelectorAll('#conversations li').length === 60")
    await tab.value("document.querySelector('#search').focus()")
    await tab.type("thing 17")
    await tab.until("document.querySelectorAll('#conversations li').length === 1")
    await tab.until_shown("thing 17", "#conversations small")
    await tab.type("77")
    await tab.until_shown("Nothing found", "#end")


async def test_a_conversation_is_renamed_and_deleted_when_confirmed(
    tab: Page, url: str, http: httpx.AsyncClient
) -> None:
    conversation = await said(http, "hello")
    await tab.open(f"{url}/#{conversation}")
    await tab.click("#conversations .rename")
    await tab.until("document.querySelector('dialog[open] input')")
    await tab.type("Sea")
    await tab.press("Enter")
    await tab.until("document.querySelector('#conversations a').innerText === 'Sea'")
    await tab.click("#conversations .delete")
    await tab.until_shown("Delete “Sea” for good?", "dialog")
    await tab.press("Escape")
    await tab.until("!document.querySelector('dialog')")
    await tab.click("#conversations .delete")
    await tab.click("dialog .danger")
    await tab.until("document.querySelectorAll('#conversations li').length === 0 && location.hash === ''")
    assert (await http.get(f"/v1/conversations/{conversation}")).status_code == 404


async def test_what_was_found_is_led_to_however_far_back(tab: Page, url: str, http: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": f"line {number}\nof many"} for number in range(130)]
    messages[7]["content"] = "my sister sails"
    await http.post("/v1/conversations/import", content=json.dumps({"title": "Long", "messages": messages}))
    await tab.open(url)
    await tab.until("document.querySelectorAll('#conversations li').length === 1")
    await tab.value("document.querySelector('#search').focus()")
    await tab.type("sister")
    await tab.until_shown("my sister sails", "#conversations small")
    await tab.click("#conversations a")
    await tab.until_shown("my sister sails", ".message.found")
    place = "document.querySelector('.found').getBoundingClientRect()"
    await tab.until(f"{place}.top > 0 && {place}.bottom < innerHeight")
    await tab.click("#newest")
    await tab.until(f"{place}.bottom < 0")
    await tab.click("#conversations a")
    await tab.until(f"{place}.top > 0 && {place}.bottom < innerHeight")
