"""A chat as a file to read; one to train on is in `test_real_server`, whose export it is."""

import os
import resource
from pathlib import Path

import pytest

from chatbot.client import Client
from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import say, until, until_shown
from tui.export import export, file_name, markdown

TURNS = 101
"""More than a page."""
ITEMS = [
    {"role": "user", "content": [{"type": "input_text", "text": "hi\x1b[2J"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Ahoy!\n"}]},
]


def test_markdown_has_the_names_of_who_speaks_and_nothing_a_terminal_obeys() -> None:
    items = [*ITEMS, {**ITEMS[1], "model": "poet\x1b[2J"}]
    written = markdown("Sea", lambda model: (model or "assistant").upper(), items)
    assert written == "# Sea\n\n**You**\n\nhi[2J\n\n**ASSISTANT**\n\nAhoy!\n\n**POET[2J**\n\nAhoy!\n"


@pytest.mark.parametrize(
    ("title", "name"),
    [("../a/b: c", "a b c.md"), ("", "conversation.md"), ("…", "conversation.md"), ("é" * 99, "é" * 60 + ".md")],
)
def test_any_title_makes_a_name(title: str, name: str) -> None:
    assert file_name(title) == name


async def test_the_open_chat_is_written_whole_and_over_nothing(
    open_app: OpenApp, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.add_conversation("Sea: a talk", *[(f"q{number}", f"a{number}") for number in range(TURNS)])
    async with open_app() as pilot:
        await until_shown(pilot, f"a{TURNS - 1}")
        await say(pilot, "/export")
        await until(pilot, lambda: (tmp_path / "Sea a talk.md").exists())
        await until_shown(pilot, "Written to")
        written = (tmp_path / "Sea a talk.md").read_text()
        assert [f"\n{text}\n" in written for text in ("q0", f"a{TURNS - 1}", "**Assistant**")] == [True] * 3
        await say(pilot, "/export")
        await until_shown(pilot, "Nothing was written: Sea a talk.md is there", "/export FILE")


async def test_what_cannot_be_written_whole_leaves_no_file_behind(server: FakeServer, tmp_path: Path) -> None:
    name = server.add_conversation("Sea", ("a", "b"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with Client(server.url) as client:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                await export(client, name, "Sea", str, str(tmp_path / "sea.md"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


async def test_an_empty_page_has_nothing_to_export(open_app: OpenApp) -> None:
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "/export")
        await until_shown(pilot, "nothing to export")


async def test_the_home_of_nobody_is_no_place_for_a_file(
    open_app: OpenApp, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.add_conversation("Sea", ("a", "b"))
    async with open_app() as pilot:
        await until_shown(pilot, "Sea", "live")
        await say(pilot, "/export ~nobody-is-called-so/sea.md")
        await until_shown(pilot, "Nothing was written", "~nobody-is-called-so")
