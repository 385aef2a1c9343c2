"""A reply that grows on the page: shown as it would be whole, and soon, however long it is. In a real browser."""

import json

import pytest

from tests.browser import Page
from tests.server.page_user import begin
from tests.server.test_web_markdown import WHOLE

TEXTS = [WHOLE, "a\n\n---\n\n---x\n```y\n```z`\n\n1. b\n\n\n2. c\n# d\ne|f\n-|-x\n\ng\ne|f\n-|-\nh|i\n\n- - -k\n"]
TEXTS += ["a\r\n\r\nb\r\n- c\r\n\r\n  d\r\n***\r\n***e**\r\n> f\r\n\r\n\r\n> g\r\n~~~\r\n\r\n~~~ \r\nh"]
GROWN = """import('/web/markdown.js').then(({ rendered, renderedOn }) => {
  const html = blocks => blocks.map(block => block.outerHTML).join('');
  let shown = [];
  return [...TEXT].map((_, end) => TEXT.slice(0, end + 1)).filter(text => {
    shown = renderedOn(shown, text);
    return html(shown) !== html(rendered(text));
  });
})"""
MADE = """import('/web/message.js').then(async ({ Message }) => {
  const reply = new Message({ role: 'assistant', status: 'streaming' });
  const drawn = () => new Promise(resolve => reply.onDrawn = resolve);
  reply.write('Some **bold** words.\\n\\n- one\\n- two\\n\\n'.repeat(2000));
  await drawn();
  let made = 0;
  const real = document.createElement.bind(document);
  document.createElement = tag => { made += 1; return real(tag) };
  reply.write(reply.text + 'and more');
  await drawn();
  return [made, reply.body.children.length];
})"""


@pytest.fixture
async def markdown(tab: Page, url: str) -> Page:
    await begin(tab, url)
    return tab


async def test_a_text_that_grows_is_shown_as_it_would_be_whole(markdown: Page) -> None:
    for text in TEXTS:
        assert await markdown.value(GROWN.replace("TEXT", json.dumps(text))) == []


async def test_a_word_at_the_end_of_a_long_reply_makes_only_its_end_anew(markdown: Page) -> None:
    made, shown = await markdown.value(MADE)
    assert (made < 20, shown) == (True, 4001)
