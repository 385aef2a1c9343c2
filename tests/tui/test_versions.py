"""What was said before a message was changed or asked again is there still, beside what was said after."""

from pathlib import Path

from textual.pilot import Pilot
from textual.style import Style

from tests.fake_engine import FakeEngine
from tests.tui.desk import Desk, app, counting, opened_desk
from tests.tui.screens import say, screen_text, until, until_shown
from tui.state import Message, Versions
from tui.widgets.headline import Headline, headline


async def changed(desk: Desk) -> Pilot[int]:
    """A terminal in which "red" was said and then changed to "green"."""
    one = await desk.terminal()
    await say(one, "red")
    await until_shown(one, "no1: you said: red")
    await say(one, "/edit green")
    await until_shown(one, "no2: you said: green", "‹ 2/2 ›")
    return one


async def test_keys_step_between_the_versions_and_what_followed_each(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        for number, line in enumerate(("red", "and then?", "/retry"), start=1):
            await say(one, line)
            await until_shown(one, f"no{number}: you said")
        await until_shown(one, "no3: you said: and then?", "‹ 2/2 ›")
        await one.press("alt+left")
        await until_shown(one, "no2: you said: and then?", "‹ 1/2 ›")
        assert "no3: you said" not in screen_text(app(one))
        await one.press("alt+right")
        await until_shown(one, "no3: you said: and then?", "‹ 2/2 ›")
        assert "no2: you said" not in screen_text(app(one))


async def test_what_is_said_next_follows_the_version_that_is_shown(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await changed(desk)
        await say(one, "/earlier")
        await until_shown(one, "no1: you said: red", "‹ 1/2 ›")
        await say(one, "blue")
        await until_shown(one, "no3: you said: blue")
        said = [message.text for message in desk.engine.requests[-1].messages if message.role == "user"]
        assert said == ["red", "blue"]
        await say(one, "/later")
        await until_shown(one, "no2: you said: green")
        assert "no3: you said" not in screen_text(app(one))


async def test_a_click_on_an_arrow_turns_that_message(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await changed(desk)
        line = next(iter(one.app.query(Headline)))
        assert await one.click(line, offset=(5, 0))
        await until_shown(one, "no1: you said: red", "‹ 1/2 ›")


async def test_another_terminal_shows_the_same_version(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await changed(desk)
        two = await desk.terminal()
        await until_shown(two, "no2: you said: green", "‹ 2/2 ›")
        await one.press("alt+left")
        await until_shown(two, "no1: you said: red", "‹ 1/2 ›")


async def test_where_there_is_one_version_nothing_is_shown_of_it(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        await say(one, "red")
        await until_shown(one, "no1: you said: red")
        assert "1/1" not in screen_text(app(one))
        await one.press("alt+left")
        await until(one, lambda: len(one.app._notifications) == 1)


async def test_a_reply_that_is_being_written_goes_on_while_another_version_is_shown(tmp_path: Path) -> None:
    engine = counting()
    async with opened_desk(tmp_path, engine) as desk:
        one = await desk.terminal()
        await say(one, "red")
        await until_shown(one, "no1: you said: red")
        engine.free = 1
        await say(one, "/edit green")
        await until_shown(one, "‹ 2/2 ›")
        await one.press("alt+left")
        await until_shown(one, "no1: you said: red")
        engine.gate.set()
        await one.press("alt+right")
        await until_shown(one, "no2: you said: green")


async def test_a_reply_that_was_left_and_come_back_to_is_not_written_twice(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.reply = lambda _: ["alpha ", "beta ", "gamma "]
    async with opened_desk(tmp_path, engine) as desk:
        one = await desk.terminal()
        await say(one, "red")
        await until_shown(one, "gamma")
        engine.free = 1
        await say(one, "/retry")
        await until_shown(one, "‹ 2/2 ›", "writing…")
        for _ in range(2):
            await one.press("alt+left")
            await until_shown(one, "gamma", "‹ 1/2 ›")
            await one.press("alt+right")
            await until_shown(one, "alpha", "‹ 2/2 ›")
        engine.gate.set()
        engine.gate.clear()
        await until_shown(one, "beta")
        assert screen_text(app(one)).count("beta") == 1
        chat = app(one).session.state.chat
        assert chat is not None
        assert chat.pace is None
        engine.gate.set()
        await until_shown(one, "alpha beta gamma")


def test_the_line_tells_the_place_and_leaves_the_ends_without_a_link() -> None:
    message = Message("msg_b", "user", "hi", versions=Versions(("msg_a", "msg_b"), 1))
    line = headline(message, "Ada")
    assert line.plain == "You  ‹ 2/2 ›"
    styles = [span.style for span in line.spans if isinstance(span.style, Style)]
    assert [style.meta for style in styles if style.meta] == [{"@click": "step(-1)"}]
