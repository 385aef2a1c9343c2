"""Where fenced code begins and ends in a reply on the page, in a real browser."""

import pytest

from tests.browser import Page
from tests.server.page_user import begin
from tests.server.test_web_markdown import CODE, html_of


@pytest.fixture
async def markdown(tab: Page, url: str) -> Page:
    await begin(tab, url)
    return tab


async def test_code_between_three_backticks_inside_a_line_is_no_fence(markdown: Page) -> None:
    html = "<p><code>a b</code> and\nmore</p><p>end</p>"
    assert await html_of(markdown, "```a b``` and\nmore\n\nend") == html


async def test_only_a_bare_fence_closes_code_so_that_no_word_is_lost(markdown: Page) -> None:
    for text, html in (
        ("````md\n```py\nx\n```\n````\nend", CODE.format("```py\nx\n```") + "<p>end</p>"),
        ("```\nx\n``` then\n  ````\nend", CODE.format("x\n``` then") + "<p>end</p>"),
        ("~~~\n```\n~~~\nend", CODE.format("```") + "<p>end</p>"),
    ):
        assert await html_of(markdown, text) == html
