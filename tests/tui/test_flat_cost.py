"""What is drawn costs little in a long chat, and of a long reply: widgets and characters are counted, not seconds."""

import math

import pytest
from textual.widgets import Static

from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import say, until, until_shown
from tui.folds import LONGEST
from tui.widgets.reply_text import ReplyText, reply_at
from tui.widgets.transcript import Transcript


async def test_two_hundred_settled_messages_mount_a_window_of_few_widgets(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Long", *[(f"q {n}", "## Title\n\n- a\n- b\n\n```py\nx\n```") for n in range(100)])
    server.gate.clear()
    async with open_app() as pilot:
        await until_shown(pilot, "q 99")
        await say(pilot, "go")
        await until_shown(pilot, "writing…", "Hello")
        assert len(pilot.app.query_one(Transcript).query("*")) < 40 * 3 + 10


async def test_a_title_that_stays_is_not_laid_out_again(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "live", "Sea")
        titles = list[object]()
        monkeypatch.setattr(pilot.app.query_one("#title", Static), "update", titles.append)
        await say(pilot, "go")
        await until_shown(pilot, "Hello there.")
        assert titles == []


async def test_of_a_very_long_reply_the_beginning_is_laid_out(open_app: OpenApp, server: FakeServer) -> None:
    server.add_conversation("Long", ("q", "some *words* of a line\n" * 2_000))
    async with open_app() as pilot:
        await until_shown(pilot, "more characters; /export has them")
    shown = reply_at(80, "some *words* of a line\n" * 2_000, is_settled=True).plain
    assert LONGEST * 0.8 < len(shown) < LONGEST + 60


def test_a_settled_reply_that_is_drawn_again_is_not_laid_out_again() -> None:
    first = reply_at(80, "some *words*", is_settled=True)
    assert reply_at(60, "some *words*", is_settled=True) is not first
    assert reply_at(80, "some *words*", is_settled=True) is first


async def test_a_text_that_took_long_to_draw_rests_but_its_end_is_drawn(
    open_app: OpenApp, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gate.clear()
    async with open_app() as pilot:
        await say(pilot, "go")
        await until_shown(pilot, "writing…", "Hello")
        reply = pilot.app.query_one(ReplyText)
        await until(pilot, lambda: reply.is_rested)
        monkeypatch.setattr(reply, "_rests_until", math.inf)
        assert not reply.is_rested
        server.gate.set()
        await until_shown(pilot, "Hello there.")
