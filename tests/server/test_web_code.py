"""A reply or code in it, copied with a button, in a real browser."""

from tests.browser import Page
from tests.fake_engine import FakeEngine
from tests.server.page_user import SETTLED, begin, say

FOCUSED = "document.activeElement.innerText"


async def test_code_is_copied_with_the_keyboard_and_the_button_says_so(tab: Page, url: str, engine: FakeEngine) -> None:
    engine.reply = lambda _: ["so:\n\n```py\nif a:\n    b\n```\nend"]
    await begin(tab, url)
    await say(tab, "hi")
    await tab.until(SETTLED)
    await tab.value("document.querySelector('.assistant pre').focus()")
    await tab.press("Tab")
    assert await tab.value(FOCUSED) == "Copy"
    await tab.press("Enter")
    await tab.until(f"{FOCUSED} === 'Copied'")
    await tab.until(f"{FOCUSED} === 'Copy'")
    await tab.value("document.querySelector('textarea').focus()")
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="v", modifiers=2, commands=["paste"])
    await tab.until("document.querySelector('textarea').value === 'if a:\\n    b'")


async def test_a_reply_that_goes_on_takes_no_button_from_under_the_user(
    tab: Page, url: str, engine: FakeEngine
) -> None:
    engine.reply = lambda _: ["```\nif a:\n    b\n```\n", "so", " it is"]
    engine.free = 2
    await begin(tab, url)
    await say(tab, "hi")
    await tab.until_shown("so", ".assistant .text")
    await tab.value("(window.pressed = document.querySelector('.copy-code')).focus()")
    await tab.click(".copy-code")
    engine.gate.set()
    await tab.until(SETTLED)
    await tab.until_shown("so it is", ".assistant .text")
    assert await tab.value("document.activeElement === window.pressed")


async def test_code_that_is_being_written_or_covered_by_the_list_cannot_be_copied(
    tab: Page, url: str, engine: FakeEngine
) -> None:
    engine.reply = lambda _: ["```\nif a:\n", "    b\n"]
    engine.free = 1
    await begin(tab, url)
    await say(tab, "hi")
    await tab.until("getComputedStyle(document.querySelector('.copy-code')).visibility === 'hidden'")
    engine.gate.set()
    await tab.until(SETTLED)
    assert await tab.value("getComputedStyle(document.querySelector('.copy-code')).visibility") == "visible"
    await tab.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=False)
    await tab.click("#menu")
    place = "(({ right, top }) => [right - 9, top + 9])(document.querySelector('.copy-code').getBoundingClientRect())"
    assert await tab.value(f"document.elementFromPoint(...{place}).id") == "shade"


async def test_a_page_over_plain_http_copies_too_and_one_that_cannot_says_so(
    tab: Page, url: str, engine: FakeEngine
) -> None:
    engine.reply = lambda _: ["```\na\n```"]
    await begin(tab, url)
    await say(tab, "hi")
    await tab.until(SETTLED)
    await tab.value("navigator.clipboard.writeText = () => Promise.reject(new Error())")
    await tab.click(".copy-code")
    await tab.until_shown("Not copied", ".copy-code")
    await tab.value("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await tab.value("document.querySelector('.user .copy').focus()")
    await tab.press("Enter")
    assert await tab.value(FOCUSED) == "Copied"
    await tab.value("document.querySelector('textarea').focus()")
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="v", modifiers=2, commands=["paste"])
    await tab.until("document.querySelector('textarea').value === 'hi'")


async def test_a_reply_is_copied_as_it_was_written_and_the_button_says_so(
    tab: Page, url: str, engine: FakeEngine
) -> None:
    engine.reply = lambda _: ["**so** it\n\nis"]
    await begin(tab, url)
    await say(tab, "hi")
    await tab.until(SETTLED)
    await tab.value("document.querySelector('.assistant .copy').focus()")
    await tab.press("Enter")
    await tab.until(f"{FOCUSED} === 'Copied'")
    await tab.until(f"{FOCUSED} === 'Copy'")
    await tab.value("document.querySelector('textarea').focus()")
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="v", modifiers=2, commands=["paste"])
    await tab.until("document.querySelector('textarea').value === '**so** it\\n\\nis'")
