"""Languages written from right to left, in a real browser."""

from tests.browser import Page
from tests.fake_engine import FakeEngine
from tests.server.page_user import SETTLED, begin, say

REPLY = "שלום עולם\n\n```\nf(x);\n```\n\nThis is English.\n\n> ציטוט\n\nטקסט `a.b()` טקסט\n\n|a|ב|\n|-:|-|\n|1|2|"
LEFT = """(() => {
  const box = text.getBoundingClientRect(), range = document.createRange();
  const left = part => (range.selectNodeContents(part), range.getBoundingClientRect().left - box.left);
  return [...text.querySelectorAll('p, pre code')].map(part => left(part) < box.width / 4);
})()""".replace("text", "document.querySelector('.assistant .text')")


async def test_code_goes_from_left_to_right_and_a_paragraph_the_way_of_its_words(
    tab: Page, url: str, engine: FakeEngine
) -> None:
    engine.reply = lambda _: [REPLY]
    await begin(tab, url)
    await say(tab, "שלום")
    await tab.until(SETTLED)
    await tab.until("document.querySelectorAll('.assistant p').length === 5")
    assert await tab.value(LEFT) == [False, True, True, False, False]
    directions = "[...document.querySelectorAll('.assistant code')].map(code => getComputedStyle(code).direction)"
    assert await tab.value(directions) == ["ltr", "ltr"]
    quote = "getComputedStyle(document.querySelector('.assistant blockquote'))"
    assert await tab.value(f"[{quote}.borderLeftWidth, {quote}.borderRightWidth]") == ["0px", "3px"]
