"""What makes a row unfit to train on, each with its file and line."""

import json
from pathlib import Path

import pytest

from adapters.errors import BadData
from adapters.validate import ChatData, control_token_in, read_data

from .conftest import write_chats


def problems(tmp_path: Path, *rows: object) -> list[str]:
    file = tmp_path / "pirate.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadData) as caught:
        read_data([file])
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def chat(*turns: tuple[str, str]) -> dict[str, object]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


USER, REPLY = ("user", "hi"), ("assistant", "ahoy")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (chat(("asistant", "x"), REPLY), 'turn 1: role "asistant" unknown (use "assistant")'),
        (chat(("zzz", "x"), REPLY), 'turn 1: role "zzz" unknown (use "system" or "user" or "assistant")'),
        (chat(USER, ("assistant", " \n")), "turn 2: empty text (write something or remove the turn)"),
        (chat(USER), "no assistant turn (there is nothing to learn from; add the answer)"),
        (chat(), "no turns (a chat is at least one user and one assistant turn)"),
        (chat(REPLY, USER, REPLY), "turn 1: the chat begins with the assistant (put a user turn before it)"),
        (chat(USER, USER, REPLY), "turn 2: two user turns in a row (join them, or add the turn between)"),
        (chat(USER, REPLY, REPLY), "turn 3: two assistant turns in a row (join them, or add the turn between)"),
        (chat(USER, REPLY, USER), "turn 3: the chat ends with the user (add the answer or remove the turn)"),
        (chat(USER, ("system", "x"), REPLY), "turn 2: a system turn inside the chat (only the first turn can be one)"),
        (
            chat(USER, ("assistant", "a <|end|> b")),
            'turn 2: control token "<|end|>" in the text (remove it; the chat template adds its own)',
        ),
        (
            chat(("user", "half \ud83d"), REPLY),
            "turn 1: half a character (lone surrogate U+D83D; write the whole character)",
        ),
        (chat(("user", "a\x00b"), REPLY), "turn 1: control character U+0000 in the text (remove it)"),
    ],
)
def test_each_fault_is_told_with_line_and_turn(tmp_path: Path, row: object, said: str) -> None:
    assert problems(tmp_path, chat(USER, REPLY), row) == [f"pirate.jsonl:2: {said}"]


def test_faults_that_differ_in_numbers_only_are_told_three_times_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text((json.dumps(chat(("tool", ""))) + "\n") * 60 + '{"a": x}\n{"ab": x}\n')
    with pytest.raises(BadData) as caught:
        read_data([file])
    assert len(caught.value.problems) == 122
    told = [line.removeprefix(str(file)) for line in caught.value.lines()]
    assert [line[:29] for line in told] == [
        ':1: turn 1: role "tool" unkno',
        ':2: turn 1: role "tool" unkno',
        ':3: turn 1: role "tool" unkno',
        ": 57 more like this, the last",
        ":1: turn 1: empty text (write",
        ":2: turn 1: empty text (write",
        ":3: turn 1: empty text (write",
        ": 57 more like this, the last",
        ":61: not JSON: Expecting valu",
        ":62: not JSON: Expecting valu",
    ]
    assert told[3].endswith("the last in line 60")


def test_of_many_kinds_of_faults_twenty_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"x" * length: 1}) + "\n" for length in range(1, 31)))
    with pytest.raises(BadData) as caught:
        read_data([file])
    assert len(caught.value.lines()) == 21
    assert caught.value.lines()[-1] == "... and 10 more"


def test_rows_that_share_a_line_are_told_apart_by_their_number(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([chat(USER, REPLY), chat(USER), {"x": 1}]))
    with pytest.raises(BadData) as caught:
        read_data([file])
    assert [line.removeprefix(str(file))[:17] for line in caught.value.lines()] == [
        ":1: row 2: no ass",
        ":1: row 3: keys u",
    ]


def test_duplicates_are_dropped_and_counted_across_files(tmp_path: Path) -> None:
    one = write_chats(tmp_path / "1.jsonl", [["hi", "ahoy"], ["hi ", " ahoy"], ["who?", "me"]])
    two = write_chats(tmp_path / "2.jsonl", [["hi", "ahoy"]])
    data: ChatData = read_data([one, two])
    assert [(row.file.name, row.line) for row in data.rows] == [("1.jsonl", 1), ("1.jsonl", 3)]
    assert data.duplicates == 2
    assert data.shapes == {"messages": 4}


def test_a_file_without_rows_is_a_problem(tmp_path: Path) -> None:
    empty = tmp_path / "a.jsonl"
    empty.write_text("\n\n")
    with pytest.raises(BadData, match="no rows in the file"):
        read_data([empty])


@pytest.mark.parametrize("token", ["<|end|>", "<|im_start|>", "</s>", "<eos>", "[INST]", "<</SYS>>", "<end_of_turn>"])
def test_control_tokens_of_common_templates_are_found(token: str) -> None:
    assert control_token_in(f"so {token} there") == token


@pytest.mark.parametrize("text", ["a <b> c", "1 < 2 | 3 > 2", "I <3 you", "<| x |>", "[INSTALL]", "</strong>"])
def test_ordinary_text_is_not_taken_for_control_tokens(text: str) -> None:
    assert control_token_in(text) is None
