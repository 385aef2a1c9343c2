"""What the page shows while the model is being loaded, in a real browser."""

from pathlib import Path

from tests.browser import Page
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.server.page_user import SETTLED, begin, say, texts
from tests.slow_loading import SlowLoading


async def test_a_reply_says_that_it_waits_for_the_model(tab: Page, tmp_path: Path) -> None:
    engine = SlowLoading(FakeEngine())
    async with live_server(tmp_path, engine) as url:
        await begin(tab, url)
        await say(tab, "hello")
        await tab.until_shown("It waits for the model, which is being loaded.", "#messages")
        await engine.loads()
        await tab.until(SETTLED)
        assert await texts(tab) == ["hello", "you said: hello"]
        assert not await tab.value("document.body.innerText.includes('It waits')")
