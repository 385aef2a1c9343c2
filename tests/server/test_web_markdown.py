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
    assert await texts(tab) == [markup, f"{markup} strong <i>\n\n<script>document.title='driven'</script>\nCopy"]
    tags = "new Set([...document.querySelectorAll('.text *')].map(made => made.tagName))"
    assert set(await tab.value(f"[...{tags}]")) == {"P", "STRONG", "CODE", "DIV", "PRE", "BUTTON"}
    assert "<img" in await tab.value("document.querySelector('#conversations a').innerText")
    assert await tab.value("document.title") != "driven"


COPY = '<button type="button" class="copy-code" title="Copy this code" aria-live="polite">Copy</button>'
CODE = f'<div class="code"><pre tabindex="0"><code>{{}}</code></pre>{COPY}</div>'
LINK = '<a href="{0}" rel="noopener noreferrer" target="_blank">{1}</a>'
TO_DO = '<input type="checkbox" disabled="" aria-label="Done">'
DONE = '<input type="checkbox" checked="" disabled="" aria-label="Done">'
HEAD = '<thead><tr><th>a</th><th class="right">b</th></tr></thead>'


async def html_of(page: Page, text: str) -> str:
    made = f"rendered({json.dumps(text)}).map(block => block.outerHTML).join('')"
    return str(await page.value(f"import('/web/markdown.js').then(({{ rendered }}) => {made})"))


async def test_markdown_becomes_elements(markdown: Page) -> None:
    for text, html in (
        ("one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>"),
        ("**a** *b* `c` 2*3*4 ** d **", "<p><strong>a</strong> <em>b</em> <code>c</code> 2*3*4 ** d **</p>"),
        ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
        ("# a\n```py\n# b\n\n**c**\n```\nd", "<h4>a</h4>" + CODE.format("# b\n\n**c**") + "<p>d</p>"),
        ("```\nnot yet", CODE.format("not yet")),
        ("  \r\n", ""),
    ):
        assert await html_of(markdown, text) == html


async def test_lists_nest_by_their_indentation(markdown: Page) -> None:
    for text, html in (
        ("so:\n- a\n  more\n\n- b\nend", "<p>so:</p><ul><li>a\nmore</li><li>b</li></ul><p>end</p>"),
        ("3. a\n4) b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("- a\n  - b\n    - c\n- d", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>"),
        ("1. a\n    * b\n\n    * c\n2. d", '<ol start="1"><li>a<ul><li>b</li><li>c</li></ul></li><li>d</li></ol>'),
        ("- a\n\t1. b\n\t\t- c", '<ul><li>a<ol start="1"><li>b<ul><li>c</li></ul></li></ol></li></ul>'),
        ("- a\n\n  b\n- c", "<ul><li>a<p>b</p></li><li>c</li></ul>"),
        ("- a\n  ```\n  if b:\n\n\n      c\n  ```", "<ul><li>a" + CODE.format("if b:\n\n\n    c") + "</li></ul>"),
        ("- ", "<ul><li></li></ul>"),
        ("- a\n  -", "<ul><li>a\n-</li></ul>"),
    ):
        assert await html_of(markdown, text) == html


async def test_a_list_has_the_numbers_and_ticks_that_were_written(markdown: Page) -> None:
    for text, html in (
        ("in\n1990. Then\n2) b\n1. c", '<p>in\n1990. Then\n2) b</p><ol start="1"><li>c</li></ol>'),
        ("1. a\n1. b\n1. c", '<ol start="1"><li>a</li><li>b</li><li>c</li></ol>'),
        ("3. a\n2. b\n3. c\n7. d", '<ol start="3"><li>a</li><li value="2">b</li><li>c</li><li value="7">d</li></ol>'),
        ("1990. a", '<ol start="1990" style="padding-inline-start: 5ch;"><li>a</li></ol>'),
        ("- [ ] a\n- [X] b\n- [y] c", f"<ul><li>{TO_DO}a</li><li>{DONE}b</li><li>[y] c</li></ul>"),
        ("1. [x] *a*\n   - [ ]", f'<ol start="1"><li>{DONE}<em>a</em><ul><li>[ ]</li></ul></li></ol>'),
    ):
        assert await html_of(markdown, text) == html


async def test_quotes_hold_what_a_text_may_hold(markdown: Page) -> None:
    for text, html in (
        ("> a\n> b\n\nc", "<blockquote><p>a\nb</p></blockquote><p>c</p>"),
        ("a\n> b\n>> c", "<p>a</p><blockquote><p>b</p><blockquote><p>c</p></blockquote></blockquote>"),
        ("> - a\n>\n> **b**", "<blockquote><ul><li>a</li></ul><p><strong>b</strong></p></blockquote>"),
        ("a > b", "<p>a &gt; b</p>"),
        (">", "<blockquote></blockquote>"),
    ):
        assert await html_of(markdown, text) == html


async def test_a_table_scrolls_in_a_box_of_its_own(markdown: Page) -> None:
    for text, head, body in (
        ("| a | b |\n|---|--:|\n| 1 | **2** |", HEAD, '<tr><td>1</td><td class="right"><strong>2</strong></td></tr>'),
        ("a|b\n-|-:\n1 \\| 2|3|4", HEAD, '<tr><td>1 | 2</td><td class="right">3</td></tr>'),
        ("| a | b |\n| - | -: |\n| 1", HEAD, "<tr><td>1</td></tr>"),
        ("|a|\n|:-:|", '<thead><tr><th class="center">a</th></tr></thead>', ""),
    ):
        table = f'<div class="table" tabindex="0"><table>{head}<tbody>{body}</tbody></table></div>'
        assert await html_of(markdown, f"so:\n{text}\nend") == f"<p>so:</p>{table}<p>end</p>"


async def test_a_wide_table_makes_nothing_else_scroll(tab: Page, url: str, engine: FakeEngine) -> None:
    engine.reply = lambda _: ["|".join(f"column{number}" for number in range(40)), "\n", "|".join(["-"] * 40)]
    await begin(tab, url)
    await say(tab, "hi")
    await tab.until(SETTLED)
    scrolls = "[...document.querySelectorAll('.table, #transcript')].map(box => box.scrollWidth > box.clientWidth)"
    assert await tab.value(scrolls) == [False, True]


async def test_half_a_table_is_text(markdown: Page) -> None:
    for text in ("| a | b |", "| a | b |\n|--", "a | b\n- | - | -", "a\n---", "a || b"):
        assert "<table" not in await html_of(markdown, text)


async def test_only_addresses_of_the_web_become_links(markdown: Page) -> None:
    for text, html in (
        ("[the *a*](https://b.c/d)", LINK.format("https://b.c/d", "the <em>a</em>")),
        ('![a](http://b.c/d_(e) "title")', LINK.format("http://b.c/d_(e)", "a")),
        ("**see https://b.c/?d=1**", f"<strong>see {LINK.format('https://b.c/?d=1', 'https://b.c/?d=1')}</strong>"),
        ("(https://b.c/d_(e)).", f"({LINK.format('https://b.c/d_(e)', 'https://b.c/d_(e)')})."),
        ("[https://a.b](https://c.d)", LINK.format("https://c.d", "https://a.b")),
        ("[a](javascript:b) <a href=c>", "[a](javascript:b) &lt;a href=c&gt;"),
        ("[a](data:b) xhttps://c [d](/e) ftp://f https://", "[a](data:b) xhttps://c [d](/e) ftp://f https://"),
        ("[a](mailto:b@c.d)", LINK.format("mailto:b@c.d", "a")),
        ("`https://a.b`", "<code>https://a.b</code>"),
        ("www.a-b.org/c. www.de", f"{LINK.format('https://www.a-b.org/c', 'www.a-b.org/c')}. www.de"),
        ("a@www.b.c ftp://www.d.e", "a@www.b.c ftp://www.d.e"),
        ("[a](https://b.c", f"[a]({LINK.format('https://b.c', 'https://b.c')}"),
        ("https://[", "https://["),
    ):
        assert await html_of(markdown, text) == f"<p>{html}</p>"


WHOLE = """# All
> quote **bold** [a](https://b.c)
> > - deep

1. one
   - two `code`

     ```py
     x = 1
     ```
| a | b |
|:-:|--:|
| 1 | *2* |
see https://a.b/c_(d) and ![e](http://f "g")."""


async def test_a_text_can_be_shown_however_little_of_it_has_come(markdown: Page) -> None:
    shown = "[...whole].map((_, end) => rendered(whole.slice(0, end))).length"
    shown = f"const whole = {json.dumps(WHOLE)}; return {shown}"
    assert await markdown.value(f"import('/web/markdown.js').then(({{ rendered }}) => {{ {shown} }})") == len(WHOLE)


PIECES = ["**a ", "*a ", "`", "- ", "*", "**a** ", "```\n", "> ", "> a\n", "[a](", "[", "[a](http://", "http://a("]
PIECES += [
    "http://a. ",
    "a|",
    "|",
    "a|b\n-|-\n",
    "a\n|-|\n",
    "- a\n\n\n",
    " - a\n  ",
    "\n\t",
    "1. - > ",
    "www.",
    "- [ ] ",
    "a\n---\n",
]


async def test_no_text_takes_long_to_show(markdown: Page) -> None:
    for piece in PIECES:
        timed = f"rendered({json.dumps(piece)}.repeat(10000)); return performance.now() - start"
        timed = f"const start = performance.now(); {timed}"
        took_ms = await markdown.value(f"import('/web/markdown.js').then(({{ rendered }}) => {{ {timed} }})")
        assert took_ms < 10_000, piece


async def test_lists_and_quotes_that_nest_without_end_stay_text_at_last(markdown: Page) -> None:
    nested = "".join(f"{'  ' * depth}- {depth}\n" for depth in range(300))
    for text in (nested, "> " * 300 + "a", "- " * 300 + "a"):
        html = await html_of(markdown, text)
        assert html.count("<ul>") + html.count("<blockquote>") == 8
