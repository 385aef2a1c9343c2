"""Screens as text: wait until one shows something, and compare one with the golden file of its name."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot

from tui.app import ChatApp
from tui.widgets.editor import Editor

GOLDEN = Path(__file__).parent / "golden"
WAIT_S = 60.0
"""Far more than anything here takes: a busy machine may be ten times slower than this one."""


def screen_text(app: App[int]) -> str:
    """Return what the terminal would show, without colours."""
    strips = app.screen._compositor.render_strips(app.size)
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


def chat_app(app: object) -> ChatApp:
    """Return the app of a pilot as what it is."""
    assert isinstance(app, ChatApp)
    return app


async def say(pilot: Pilot[int], text: str) -> None:
    """Write a text into the editor at once and press Enter."""
    pilot.app.query_one(Editor).insert(text)
    await pilot.press("enter")


async def until(pilot: Pilot[int], condition: Callable[[], object], wish: str = "what was waited for") -> None:
    """Let the app run until a condition holds; fail with the screen as it is after a minute."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await pilot.pause(0.01)
    except TimeoutError:
        raise AssertionError(f"never saw {wish} on\n{screen_text(pilot.app)}") from None
    await pilot.pause()


async def until_shown(pilot: Pilot[int], *texts: str) -> None:
    """Let the app run until all texts are on the screen."""
    await until(pilot, lambda: all(text in screen_text(pilot.app) for text in texts), str(texts))


def assert_golden(app: App[int], name: str) -> None:
    """Compare the screen with a stored one; `UPDATE_GOLDEN=1` stores it."""
    path, text = GOLDEN / f"{name}.txt", screen_text(app)
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), text
