"""What the pages tell a reader to run has to exist: commands, their options, and Python that compiles."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from chatbot.cli.program import app

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAID = re.compile(r"`((?:\S+=\S* )?chatbot [a-z][^`]*)`")
COMMAND = re.compile(r"(?:\S+=\S*\s)*\S*chatbot ([a-z].*)")
"""A line that calls the program by whatever path, with what follows its name."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_is_shown_whole_can_be_given_so(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for line in lines_of(page):
        if found := COMMAND.fullmatch(line.strip()):
            name, command, words = command_of(shlex.split(found.group(1), comments=True))
            command.make_context(name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_a_sentence_names_has_the_options_it_names(page: Path) -> None:
    for said in SAID.findall(BLOCK.sub("", page.read_text())):
        found = COMMAND.fullmatch(" ".join(said.split()))
        assert found, said
        _, command, words = command_of(found.group(1).split())
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, said


def test_the_python_of_the_readme_compiles() -> None:
    (example,) = [body for kind, body in BLOCK.findall((ROOT / "README.md").read_text()) if kind == "python"]
    compile(example, "README.md", "exec")


def lines_of(page: Path) -> list[str]:
    """Return the lines that a reader may copy, each whole."""
    text = page.read_text().replace("\\\n", " ")
    if page.suffix != ".md":
        return text.splitlines()
    return [line for kind, body in BLOCK.findall(text) if kind in ("", "sh", "ini") for line in body.splitlines()]


def command_of(words: list[str]) -> tuple[str, Any, list[str]]:
    """Return the command that words call, and what is left for it (typer's own click has no public types)."""
    name, command = "chatbot", typer.main.get_command(app)
    while words and (below := getattr(command, "commands", None)):
        name, *words = words
        assert name in below, f"expected one of {', '.join(below)}, got {name}"
        command = below[name]
    return name, command, words
