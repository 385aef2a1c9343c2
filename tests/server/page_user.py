"""What a user of the page at `/` does and sees."""

import httpx

from tests.browser import Page

LIVE = "document.body.dataset.state === 'live'"
SETTLED = "document.querySelector('.assistant:last-child.completed')"


async def begin(tab: Page, url: str) -> None:
    """Open the page, and wait until it is connected."""
    await tab.open(url)
    await tab.until(LIVE)


async def say(tab: Page, text: str) -> None:
    await tab.value("document.querySelector('textarea').focus()")
    await tab.type(text)
    await tab.press("Enter")


async def texts(tab: Page) -> list[str]:
    """What the messages say that are shown."""
    shown: list[str] = await tab.value("[...document.querySelectorAll('.message .text')].map(text => text.innerText)")
    return shown


async def said(http: httpx.AsyncClient, text: str, reply: str = "aye") -> str:
    """Make a conversation in which something was said, and return its id."""
    items = [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]
    made = (await http.post("/v1/conversations", json={"title": f"Chat of {text}", "items": items})).json()
    return str(made["id"])
