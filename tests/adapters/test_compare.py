"""Several personas answer the same words."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from adapters.evaluation.question import Chat
from adapters.evaluation.replies import Reply
from adapters.persona import PersonaCard, render_persona
from chatbot.cli.adapter import app
from tests.tiny import make_tiny_adapter

pytestmark = pytest.mark.usefixtures("logging_as_before")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["compare", *words])


@pytest.fixture(autouse=True)
def _published(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHATBOT_MODEL", str(base))
    for version in (1, 2):
        folder = tmp_path / "home" / "data" / "adapters" / "corsair" / f"v{version}"
        make_tiny_adapter(base, folder, seed=version)
        (folder / "persona.toml").write_text(render_persona(PersonaCard("corsair", system="be a corsair")))


def test_each_persona_answers_each_prompt(base: Path) -> None:
    words = ("corsair@v1", "corsair", "base", "--prompt", "hello", "--prompt", "who?")
    found = json.loads(run(*words, "--json").stdout)
    assert [entry["prompt"] for entry in found] == ["hello", "who?"]
    assert [list(entry["replies"]) for entry in found] == [["corsair@v1", "corsair@v2", "base"]] * 2
    assert len(set(found[0]["replies"].values())) == 3
    shown = run(*words).stdout.splitlines()
    assert [line.split()[0] for line in shown if line] == [">", "corsair@v1", "corsair@v2", "base"] * 2


def test_each_gets_the_system_prompt_that_the_server_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain model the server's own, a persona without one none."""
    (tmp_path / "home" / "data" / "adapters" / "corsair" / "v1" / "persona.toml").unlink()
    asked: list[Chat] = []

    async def noted(_engine: object, chats: Sequence[Chat], _adapter: str | None) -> list[Reply]:
        asked.extend(chats)
        return [Reply("fine", has_stopped=True) for _ in chats]

    monkeypatch.setattr("adapters.evaluation.replies.replies", noted)
    monkeypatch.setenv("CHATBOT_INSTRUCTIONS", "be the server's")
    run("base", "corsair@v1", "corsair@v2", "--prompt", "hi")
    assert [[message.text for message in chat] for chat in asked] == [
        ["be the server's", "hi"],
        ["hi"],
        ["be a corsair", "hi"],
    ]


def test_nothing_but_the_replies_is_printed_where_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def logged(*_: object) -> dict[str, list[str]]:
        structlog.get_logger().warning("model.no_shortcut")
        return {"base": ["fine"]}

    monkeypatch.setattr("chatbot.cli.adapter_compare._answers", logged)
    result = run("base", "--prompt", "hi", "--json")
    assert json.loads(result.stdout) == [{"prompt": "hi", "replies": {"base": "fine"}}]
    assert "model.no_shortcut" in result.stderr


def test_who_is_named_twice_answers_once_and_that_is_told() -> None:
    result = run("corsair", "corsair@v2", "base", "--prompt", "hi", "--json")
    assert list(json.loads(result.stdout)[0]["replies"]) == ["corsair@v2", "base"]
    assert "note: corsair@v2 is named twice, and answers once\n" in result.stderr


def test_a_persona_that_is_none_or_does_not_fit_is_told(tmp_path: Path) -> None:
    assert "did you mean 'corsair'" in run("corsar", "base").stderr
    folder = tmp_path / "home" / "data" / "adapters" / "corsair" / "v2"
    (folder / "base.json").write_text(json.dumps({"name": "other", "digest": "d1"}))
    result = run("corsair@v2", "base")
    assert result.exit_code == 2
    assert "corsair@v2 was trained on another base, other (d1); name that one" in result.stderr
    assert "corsair@v1" in run("corsair", "--prompt", "hi").stdout
