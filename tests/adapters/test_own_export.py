"""Conversations that were exported are learned as far as they were said to their end."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.validate import ChatData, read_data
from chatbot.cli.adapter import app

ASKED, SAID = ("user", "hi", "completed"), ("assistant", "ahoy", "completed")
CUT_OFF = ("assistant", "aho", "incomplete")


def line(*said: tuple[str, str, str], instructions: str | None = None) -> str:
    """Return a conversation as `conversations export` writes it."""
    messages: list[dict[str, Any]] = []
    for role, text, status in said:
        message: dict[str, Any] = {"id": f"msg_{len(messages)}", "role": role, "content": text, "created_at": 1}
        messages.append(message if status == "completed" else message | {"status": status})
    outline = {"id": "conv_1", "created_at": 1, "title": "Sea", "model": None, "instructions": instructions}
    return json.dumps(outline | {"metadata": {}, "messages": messages}) + "\n"


def read(tmp_path: Path, *lines: str) -> ChatData:
    file = tmp_path / "export.jsonl"
    file.write_text("".join(lines))
    return read_data([file])


def learned(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    (row,) = read(tmp_path, text).rows
    return [(message.role, message.text) for message in row.messages]


def test_instructions_and_system_messages_are_the_system_turn(tmp_path: Path) -> None:
    text = line(("developer", "rhyme", "completed"), ASKED, SAID, instructions="be a pirate")
    assert learned(tmp_path, text) == [("system", "be a pirate\nrhyme"), ("user", "hi"), ("assistant", "ahoy")]
    assert learned(tmp_path, line(ASKED, SAID)) == [("user", "hi"), ("assistant", "ahoy")]
    beside = json.loads(line(ASKED, SAID, ASKED, CUT_OFF)) | {"system": "be brief"}
    assert learned(tmp_path, json.dumps(beside)) == [("system", "be brief"), ("user", "hi"), ("assistant", "ahoy")]


@pytest.mark.parametrize(
    "rest",
    [
        [("user", "and?", "completed")],
        [("user", "and?", "completed"), CUT_OFF],
        [("user", "and?", "completed"), ("assistant", "", "failed")],
        [("user", "and?", "completed"), CUT_OFF, ("user", "go on", "completed"), SAID],
        [("user", "and?", "completed"), ("user", "and??", "completed"), SAID],
        [("user", "and?", "completed"), ("assistant", " ", "completed")],
        [("system", "be brief", "completed"), ASKED, SAID],
    ],
)
def test_what_comes_after_the_last_finished_reply_is_not_learned(
    tmp_path: Path, rest: list[tuple[str, str, str]]
) -> None:
    assert learned(tmp_path, line(ASKED, SAID, *rest)) == [("user", "hi"), ("assistant", "ahoy")]
    assert read(tmp_path, line(ASKED, SAID, *rest)).unfinished == 1
    assert read(tmp_path, line(ASKED, SAID)).unfinished == 0


def test_conversations_without_a_finished_reply_are_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "export.jsonl").write_text(line(ASKED, SAID) + line(ASKED) + line(ASKED, CUT_OFF) + line(SAID) + line())
    result = CliRunner().invoke(app, ["check", str(tmp_path / "export.jsonl")])
    assert result.exit_code == 0, result.output
    assert "rows               1 (1 messages)" in result.stdout
    assert "note: 4 conversations of an export learned up to the first message without" in result.stderr


def test_other_rows_are_learned_as_they_are(tmp_path: Path) -> None:
    row = {"messages": [{"role": role, "content": text, "status": status} for role, text, status in (ASKED, CUT_OFF)]}
    assert learned(tmp_path, json.dumps(row)) == [("user", "hi"), ("assistant", "aho")]
