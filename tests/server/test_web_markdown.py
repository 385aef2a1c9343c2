"""What the page makes of the Markdown in replies, in a real browser."""

import json

import pytest

from tests.browser import Page
from tests.fake_engine import FakeEngine
from tests.server.page_user import SETTLED, begin, say, texts


@pytest.fixture
async def markdown(tab: Page, url: str) -> Page:
    await begin(tab, url)
    return tab


async def test_markup_in_a_message_stays_text(tab: Page, url: str, engine: FakeEngine) -> None:
    markup = "<img src=x onerror=document.title='driven'> <b>bold</b>"
    engine.reply = lambda _: [f"{markup} **strong** `<i>`\n\n```\n<script>document.title='driven'</script>\n```"]
    await begin(tab, url)
    await say(tab, markup)
    await tab.until(SETTLED)
    assert await texts(tab) == [markup, f"{markup} strong <i>\n\n<script>document.title='driven'</script>"]
    tags = "new Set([...document.querySelectorAll('.text *')].map(made => made.tagName))"
    assert set(await tab.value(f"[...{tags}]")) == {"P", "STRONG", "CODE", "PRE"}
    assert "<img" in await tab.value("document.querySelector('#conversations a').innerText")
    assert await tab.value("document.title") != "driven"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>"),
        ("**a** *b* `c` 2*3*4 ** d **", "<p><strong>a</strong> <em>b</em> <code>c</code> 2*3*4 ** d **</p>"),
        ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
        ("so:\n- a\n  more\n\n- b\nend", "<p>so:</p><ul><li>a\nmore</li><li>b</li></ul><p>end</p>"),
        ("3. a\n4) b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("# a\n```py\n# b\n\n**c**\n```\nd", '<h4>a</h4><pre tabindex="0"><code># b\n\n**c**</code></pre><p>d</p>'),
        ("```\nnot yet", '<pre tabindex="0"><code>not yet</code></pre>'),
        ("[a](javascript:b) <a href=c>", "<p>[a](javascript:b) &lt;a href=c&gt;</p>"),
        ("  \r\n", ""),
    ],
)
async def test_markdown_becomes_elements(markdown: Page, text: str, html: str) -> None:
    made = f"rendered({json.dumps(text)}).map(block => block.outerHTML).join('')"
    assert await markdown.value(f"import('/web/markdown.js').then(({{ rendered }}) => {made})") == html


async def test_no_text_takes_long_to_show(markdown: Page) -> None:
    for piece in ("**a ", "*a ", "`", "- ", "*", "**a** ", "```\\n"):
        timed = f"const start = performance.now(); rendered('{piece}'.repeat(20000)); return performance.now() - start"
        took_ms = await markdown.value(f"import('/web/markdown.js').then(({{ rendered }}) => {{ {timed} }})")
        assert took_ms < 10_000, piece
