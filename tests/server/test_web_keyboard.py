"""The page by keyboard alone, in a real browser."""

import httpx
import pytest

from tests.browser import Page
from tests.server.page_user import begin, said, say, texts

FOCUSED = "document.activeElement.id || document.activeElement.innerText"


@pytest.fixture
async def chats(http: httpx.AsyncClient) -> list[str]:
    """The ids of five conversations, oldest first."""
    return [await said(http, str(number)) for number in range(5)]


async def walk(tab: Page, start: str, *keys: str) -> list[str]:
    """Press keys, beginning at an element, and return where each of them leads."""
    await tab.value(f"document.querySelector('{start}').focus()")
    places = []
    for key in keys:
        await tab.press(key)
        places.append(await tab.value(FOCUSED))
    return places


async def test_tab_stops_in_the_open_row_of_the_list_only(tab: Page, url: str, chats: list[str]) -> None:
    await begin(tab, f"{url}/#{chats[2]}")
    await tab.until("document.querySelector('#conversations [aria-current]')")
    there = await walk(tab, "#search", *["Tab"] * 4)
    assert there == ["Chat of 2", "Rename", "Delete", "speaker"]


async def test_the_arrows_go_through_the_list(tab: Page, url: str, chats: list[str]) -> None:
    await begin(tab, f"{url}/#{chats[2]}")
    await tab.until("document.querySelector('#conversations [aria-current]')")
    keys = ["ArrowDown", "ArrowDown", "ArrowDown", "Home", "Tab", "Tab", "End"]
    places = ["Chat of 1", "Chat of 0", "Chat of 0", "Chat of 4", "Rename", "Delete", "Chat of 0"]
    assert await walk(tab, "#conversations [aria-current]", *keys) == places


async def test_the_first_row_can_be_reached_where_none_is_open(tab: Page, url: str, chats: list[str]) -> None:
    await begin(tab, url)
    await tab.until(f"document.querySelectorAll('#conversations li').length === {len(chats)}")
    stops = "[...document.querySelectorAll('#conversations [tabindex=\"0\"]')].map(stop => stop.innerText)"
    assert (await tab.value(stops))[0] == "Chat of 4"
    assert len(await tab.value(stops)) == 3


async def test_the_first_stop_of_the_page_leads_to_the_chat(tab: Page, url: str, chats: list[str]) -> None:
    await begin(tab, f"{url}/#{chats[0]}")
    await tab.until_shown("aye", "#messages")
    first = "document.body.querySelector('a, button, input, [tabindex]').id"
    assert await tab.value(first) == "skip"
    visible = "document.elementFromPoint(30, 20).id === 'skip'"
    assert not await tab.value(visible)
    await tab.value("document.querySelector('#skip').focus()")
    assert await tab.value(visible)
    await tab.press("Enter")
    assert await tab.value(FOCUSED) == "transcript"
    assert await tab.value("location.hash") == f"#{chats[0]}"


async def test_a_row_that_moves_up_keeps_the_focus_and_one_that_goes_leaves_it_to_the_next(
    tab: Page, url: str, chats: list[str]
) -> None:
    await begin(tab, f"{url}/#{chats[2]}")
    await tab.until("document.querySelector('#conversations [aria-current]')")
    assert await walk(tab, "#conversations [aria-current]", "ArrowDown", "Tab", "Enter") == ["Chat of 1", "Rename", ""]
    await tab.value("document.querySelector('dialog input').select()")
    await tab.type("Sea")
    await tab.press("Enter")
    await tab.until("document.querySelector('#conversations a').innerText === 'Sea'")
    assert await tab.value(FOCUSED) == "Rename"
    assert await tab.value("document.activeElement.closest('li') === document.querySelector('#conversations li')")
    assert await walk(tab, "#conversations .rename", "Tab", "Enter", "Tab") == ["Delete", "Cancel", "Delete"]
    await tab.press("Enter")
    await tab.until(f"document.querySelectorAll('#conversations li').length === {len(chats) - 1}")
    assert await tab.value(FOCUSED) == "Chat of 4"


async def test_enter_that_ends_a_word_of_an_input_method_does_not_send(tab: Page, url: str) -> None:
    await begin(tab, url)
    await tab.call("Input.imeSetComposition", text="に", selectionStart=1, selectionEnd=1)
    await tab.press("Enter")
    await tab.type("日")
    as_in_safari = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    await tab.call("Input.dispatchKeyEvent", type="keyDown", **as_in_safari)
    await tab.press("ArrowUp")
    assert await texts(tab) == []
    await say(tab, "本")
    await tab.until("document.querySelectorAll('.message').length === 2")
