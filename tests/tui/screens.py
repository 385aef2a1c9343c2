"""Screens as text: wait until one shows something, and compare one with the golden file of its name."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from tui.app import ChatApp
from tui.widgets.editor import Editor

GOLDEN = Path(__file__).parent / "golden"
WAIT_S = 10.0


def screen_text(app: ChatApp) -> str:
    """Return what the terminal would show, without colours."""
    strips = app.screen._compositor.render_strips(app.size)
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


async def say(pilot: Pilot[int], text: str) -> None:
    """Write a text into the editor at once and press Enter."""
    pilot.app.query_one(Editor).insert(text)
    await pilot.press("enter")


async def until(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Let the app run until a condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await pilot.pause(0.01)
    await pilot.pause()


async def until_shown(pilot: Pilot[int], *texts: str) -> None:
    """Let the app run until all texts are on the screen."""
    app = pilot.app
    assert isinstance(app, ChatApp)
    try:
        await until(pilot, lambda: all(text in screen_text(app) for text in texts))
    except TimeoutError:
        raise AssertionError(f"never saw {texts} on\n{screen_text(app)}") from None


def assert_golden(app: ChatApp, name: str) -> None:
    """Compare the screen with a stored one; `UPDATE_GOLDEN=1` stores it."""
    path, text = GOLDEN / f"{name}.txt", screen_text(app)
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), text
