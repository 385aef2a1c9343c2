"""`chatbot model eval` as a person uses it, on a tiny model with a tiny adapter."""

import json
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from adapters.evaluation.evaluation import Evaluation
from adapters.evaluation.figures import figures
from adapters.persona import PersonaCard, render_persona
from chatbot.cli.program import app
from chatbot.engine.digest import model_digest
from tests.tiny import make_tiny_adapter, make_tiny_model

pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    model = make_tiny_model(tmp_path / "model", context_tokens=2048)
    version = tmp_path / "home" / "data" / "adapters" / "pirate" / "v1"
    make_tiny_adapter(model, version, seed=1)
    card = PersonaCard(name="pirate", description="a pirate", system="You are Flint.")
    (version / "persona.toml").write_text(render_persona(card), "utf-8")
    return model


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["model", "eval", *(str(word) for word in words)])


def test_a_model_and_a_persona_get_the_same_questions_and_a_column_each(model: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "test.jsonl"
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "bonjour"}]
    pairs.write_text(json.dumps({"messages": turns, "subset": "English to French"}) + "\n", "utf-8")

    result = run(model, "--adapter", "pirate", "--count", 1, "--test", pairs, "--out", tmp_path / "evaluation.json")

    assert result.exit_code == 0, result.output
    assert "recall, 1 turn, known wording" in result.stdout
    assert "pirate@v1, English to French: BLEU" in result.stdout
    found = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
    assert found["digest"] == model_digest(model)
    assert len(found["prompts"]) == 40
    persona = found["personas"]["pirate@v1"]
    assert persona["right"].keys() == found["base"]["right"].keys()
    assert len(persona["replies"]) == 10
    assert 0 <= persona["voice"] <= 1
    assert str(tmp_path) not in json.dumps(found)


def test_an_unknown_persona_ends_with_2_before_anything_is_loaded(model: Path) -> None:
    result = run(model, "--adapter", "nobody")
    assert result.exit_code == 2
    assert "nobody" in result.stderr
    version = model.parent / "home" / "data" / "adapters" / "pirate" / "v1"
    (version / "base.json").write_text('{"name": "other", "digest": "d1"}')
    result = run(model, "--adapter", "pirate")
    assert result.exit_code == 2
    assert result.stderr.startswith("pirate@v1 was trained on another base, other (d1); ")


def test_a_folder_that_is_no_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    result = run(tmp_path, "--count", 1)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{tmp_path}: config.json is missing; expected a Hugging Face causal LM")


def test_what_is_named_is_looked_at_before_two_thousand_questions_are_asked(model: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "test.jsonl"
    chats: tuple[list[tuple[str, str | None]], ...] = (
        [],
        [("assistant", "hi")],
        [("tool", "hi"), ("assistant", "hi")],
        [("user", "hi"), ("assistant", None)],
        [("user", "hi"), ("assistant", "bonjour")],
    )
    rows = [{"messages": [{"role": role, "content": text} for role, text in chat]} for chat in chats]
    lines = [*(json.dumps(row | {"subset": "French"}) for row in rows), json.dumps(rows[-1]), "", "{"]
    lines.append(json.dumps(rows[-1] | {"subset": "Fren\ud83d"}))
    pairs.write_text("\n".join(lines), "utf-8")
    (tmp_path / "empty").mkdir()
    for words, said in (
        (("--test", tmp_path / "none.jsonl"), "none.jsonl"),
        (("--test", pairs), "name one by --adapter"),
        (("--test", pairs, "--adapter", "pirate"), "".join(f"{pairs}:{line}: |" for line in (1, 2, 3, 4, 6, 8, 9))),
        (("--corpus", tmp_path / "empty"), f"{tmp_path}/empty: expected files such as "),
        (("--corpus", tmp_path / "none"), "none"),
        (("--out", tmp_path / "none" / "out.json"), f"{tmp_path}/none: no such folder"),
        (("--out", tmp_path), f"{tmp_path}: expected a file for --out"),
    ):
        result = run(model, *words)
        assert result.exit_code == 2, result.output
        assert all(part in result.stderr for part in said.split("|"))
        assert f"{pairs}:5: " not in result.stderr


def test_the_bundled_model_is_measured_by_its_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATBOT_MODEL", str(tmp_path / "served"))
    (tmp_path / "base_model").symlink_to(model)
    monkeypatch.setattr("chatbot.settings.PACKAGE", tmp_path)
    result = run("bundled", "--count", 1)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("chatbot-mini: ")


def test_nothing_but_the_figures_is_printed_where_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(*_: object) -> Evaluation:
        structlog.get_logger().warning("model.no_shortcut")
        return Evaluation("tiny", "d1", 1, figures([], []), [])

    monkeypatch.setattr("chatbot.cli.model._evaluation", asked)
    result = run("bundled", "--json")
    assert json.loads(result.stdout)["model"] == "tiny"
    assert "model.no_shortcut" in result.stderr
