"""The marks inside a line of Markdown and the rules between lines, in a real browser."""

import json

import pytest

from tests.browser import Page
from tests.server.page_user import begin
from tests.server.test_web_markdown import LINK, html_of


@pytest.fixture
async def markdown(tab: Page, url: str) -> Page:
    await begin(tab, url)
    return tab


async def test_marks_inside_a_line_are_shown_as_what_they_mean(markdown: Page) -> None:
    for text, html in (
        ("***a*** **b *c*** ~~d~~ a~~", "<strong><em>a</em></strong> <strong>b <em>c</em></strong> <del>d</del> a~~"),
        ("_a b_ __c__ d_e_f", "<em>a b</em> <strong>c</strong> d_e_f"),
        ("____ ***** ~~~~ x", "____ ***** ~~~~ x"),
        ("**A** or **B**\n**C**", "<strong>A</strong> or <strong>B</strong>\n<strong>C</strong>"),
        ("*a **b** c* ***d** e* *f **g*", "<em>a <strong>b</strong> c</em> <em><strong>d</strong> e</em> *f **g*"),
        ("`` `a` `` `b``c` `  `", "<code>`a`</code> <code>b``c</code> <code>  </code>"),
        ("a<br>b<br/>c<b>", "a<br>b<br>c&lt;b&gt;"),
    ):
        assert await html_of(markdown, text) == f"<p>{html}</p>"


async def test_a_backslash_shows_a_mark_as_it_is(markdown: Page) -> None:
    for text, html in (
        (r"\*a\* 1\. \_b_ \`c\` `\*`", r"*a* 1. _b_ `c` <code>\*</code>"),
        ("\\# a\\\nb \\d \\\\ \\$5 \\&amp;", "# a\nb \\d \\ $5 &amp;amp;"),
    ):
        assert await html_of(markdown, text) == f"<p>{html}</p>"


async def test_an_entity_is_shown_as_the_character_that_it_means(markdown: Page) -> None:
    html = "<p>&amp; &lt;b&gt; → → <code>&amp;amp;</code> &amp;nothing; &amp;#0; &amp;#x110000; AT&amp;T</p>"
    assert await html_of(markdown, "&amp; &lt;b&gt; &rarr; &#x2192; `&amp;` &nothing; &#0; &#x110000; AT&T") == html


async def test_an_address_in_angle_brackets_is_a_link_without_them(markdown: Page) -> None:
    html = f"<p>see {LINK.format('https://a.b/c_d.', 'https://a.b/c_d.')}, &lt;b&gt;</p>"
    assert await html_of(markdown, "see <https://a.b/c_d.>, <b>") == html


async def test_three_dashes_stars_or_lines_are_a_rule(markdown: Page) -> None:
    for rule in ("---", "***", "___", "* * *", "- - - ", "----------"):
        assert await html_of(markdown, f"a\n\n{rule}\n- b\n{rule}") == "<p>a</p><hr><ul><li>b</li></ul><hr>"
    assert "<hr>" not in await html_of(markdown, "--\n\n--- a\n\n- - -a\n\n-*-\n\n    ---")


async def test_a_heading_has_marks_before_it_or_a_line_below(markdown: Page) -> None:
    for text, html in (
        ("# a\n## b ##\n### c#\n###### d", "<h4>a</h4><h5>b</h5><h6>c#</h6><h6>d</h6>"),
        ("a *b*\n===\nc\n------\nd", "<h4>a <em>b</em></h4><h5>c</h5><p>d</p>"),
        ("a\nb\n---\nc\n***\n===", "<p>a\nb</p><hr><p>c</p><hr><p>===</p>"),
        ("a\n--\n\na\n= b", "<p>a\n--</p><p>a\n= b</p>"),
    ):
        assert await html_of(markdown, text) == html


PIECES = [
    "*a **b** ",
    "*a **",
    "&#1",
    "***a ",
    "__a ",
    "_a ",
    " _a",
    "~~a ",
    "\\",
    "<https://a ",
    "<br",
    "- ",
    "--- - a\n",
    "`` ",
    "` `` ",
    "``` `",
]


async def test_no_mark_takes_long_to_show(markdown: Page) -> None:
    for piece in PIECES:
        timed = f"const start = performance.now(); rendered({json.dumps(piece)}.repeat(10000))"
        timed = f"import('/web/markdown.js').then(({{ rendered }}) => {{ {timed}; return performance.now() - start }})"
        assert await markdown.value(timed) < 10_000, piece
