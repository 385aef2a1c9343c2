"""A message that the user has marked is the one that commands mean."""

from pathlib import Path

from textual.pilot import Pilot

from tests.tui.desk import Desk, app, counting, opened_desk
from tests.tui.screens import say, screen_text, until, until_shown
from tui.widgets.editor import Editor


async def two_turns(desk: Desk) -> Pilot[int]:
    """A terminal in which "red" and then "green" was said."""
    one = await desk.terminal()
    for number, said in enumerate(("red", "green"), 1):
        await say(one, said)
        await until_shown(one, f"no{number}: you said: {said}")
    return one


async def marked(one: Pilot[int], times: int) -> None:
    await one.press(*["alt+up"] * times)
    await until_shown(one, "▸ ", "mean the marked message")


async def test_an_earlier_message_is_changed_and_what_followed_it_stays_beside(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await two_turns(desk)
        await marked(one, 4)
        await until_shown(one, "▸ You")
        await say(one, "/edit")
        editor = one.app.query_one(Editor)
        await until(one, lambda: editor.text == "/edit red")
        await say(one, "dish")
        await until_shown(one, "no3: you said: reddish", "‹ 2/2 ›")
        shown = screen_text(app(one))
        assert "you said: green" not in shown
        assert "▸" not in shown
        await one.press("alt+left")
        await until_shown(one, "no1: you said: red", "no2: you said: green")


async def test_an_earlier_reply_is_asked_for_again(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await two_turns(desk)
        await marked(one, 3)
        await until_shown(one, "▸ Assistant")
        await say(one, "/retry")
        await until_shown(one, "no3: you said: red")
        assert "you said: green" not in screen_text(app(one))


async def test_whatever_is_marked_is_copied(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await two_turns(desk)
        await marked(one, 4)
        await say(one, "/copy")
        await until(one, lambda: one.app.clipboard == "red")
        await one.press("escape")
        await say(one, "/copy")
        await until(one, lambda: one.app.clipboard == "no2: you said: green")


async def test_versions_of_the_marked_message_are_turned_and_not_those_of_the_newest(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        for number, said in enumerate(("red", "/edit green", "then", "/retry"), 1):
            await say(one, said)
            await until_shown(one, f"no{number}: you said")
        await marked(one, 4)
        await one.press("alt+left")
        await until_shown(one, "no1: you said: red", "‹ 1/2 ›")


async def test_past_the_last_message_and_by_escape_nothing_is_marked(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await two_turns(desk)
        for leave in ("alt+down", "escape"):
            await marked(one, 1)
            await one.press(leave)
            await until(one, lambda: "▸" not in screen_text(app(one)))


async def test_a_marked_message_comes_into_sight_and_what_is_said_next_goes_to_the_end(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        for number in range(1, 9):
            await say(one, f"line {number}\nand another")
            await until_shown(one, f"no{number}: you said: line {number}")
        assert "no1: you" not in screen_text(app(one))
        await marked(one, 16)
        await until_shown(one, "▸ You", "no1: you said: line 1", "more below")
        await say(one, "the end")
        await until_shown(one, "no9: you said: the end")
        assert "▸" not in screen_text(app(one))
