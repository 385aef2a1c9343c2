import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chatbot.cli.program import app


def chatbot(*arguments: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "chatbot", *arguments],
        env={"PATH": "", "CHATBOT_HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_and_version_never_import_torch(tmp_path: Path) -> None:
    code = "import sys, chatbot.cli.program; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert chatbot("--version", home=tmp_path).stdout.strip().count(".") == 2


@pytest.mark.parametrize("group", [(), ("adapter",), ("conversations",), ("db",), ("model",)])
def test_help_says_of_each_command_what_it_does_in_a_whole_sentence(group: tuple[str, ...]) -> None:
    told = CliRunner().invoke(app, [*group, "-h"], env={"COLUMNS": "80"}).output
    assert "Commands:" in told
    assert "...\n" not in told.partition("Commands:")[2]


def test_a_missing_model_directory_is_told_by_its_path(tmp_path: Path) -> None:
    ended = chatbot("serve", "--port", "0", "--model", str(tmp_path / "nothing"), home=tmp_path)
    assert ended.returncode == 2
    assert str(tmp_path / "nothing") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_that_others_could_reach_needs_a_key(tmp_path: Path) -> None:
    ended = chatbot("serve", "--host", "0.0.0.0", home=tmp_path)
    assert ended.returncode == 1
    assert "a key is needed" in ended.stderr


def test_a_taken_port_is_told_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = chatbot("serve", "--port", str(taken.getsockname()[1]), home=tmp_path)
    assert ended.returncode == 1
    assert "try: --port 0" in ended.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_told_before_anything_is_served(tmp_path: Path) -> None:
    ended = chatbot("serve", "--port", "0", home=tmp_path, CHATBOT_DEVICE="cuda")
    assert ended.returncode == 1
    expected = "device: expected a GPU for 'cuda', but torch finds none; try: CHATBOT_DEVICE=cpu"
    assert ended.stderr.splitlines() == [expected]


def test_flags_that_a_command_would_not_see_are_bad_usage(tmp_path: Path) -> None:
    ended = chatbot("--conversation", "notes", "ask", "hi", home=tmp_path)
    assert (ended.returncode, "--conversation" in ended.stderr) == (2, True)


def test_nothing_to_say_is_bad_usage(tmp_path: Path) -> None:
    assert chatbot("ask", "  ", home=tmp_path).returncode == 2


@pytest.mark.parametrize(("words", "title"), [(["ask", "hi"], ""), (["--plain"], "x" * 201)])
def test_a_title_that_nothing_can_have_is_bad_usage(tmp_path: Path, words: list[str], title: str) -> None:
    ended = chatbot(*words, "--conversation", title, home=tmp_path)
    assert (ended.returncode, "expected a title" in ended.stderr) == (2, True)


@pytest.mark.parametrize("words", [["serve", "--port", "0", "--model"], ["model", "eval"]])
def test_a_model_that_is_not_there_is_told_before_torch_is_imported(tmp_path: Path, words: list[str]) -> None:
    words = [*words, str(tmp_path / "nothing")]
    code = (
        "import sys\nfrom chatbot.cli.program import app\n"
        f"try:\n    app({words!r}, standalone_mode=False)\nfinally:\n    print('torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "CHATBOT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no such directory" in ended.stderr
    assert ended.stdout == "False\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_finds_no_room_is_told_without_a_traceback(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "chatbot", "adapter", "list"],
            env={"PATH": "", "CHATBOT_HOME": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("chatbot: what was printed could not be written: No space left on device\n")
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that can close a stream")
@pytest.mark.parametrize(
    ("words", "code"), [("ask <&-", 2), ("adapter list >&-", 0), ("conversations import nothing 2>&-", 2)]
)
def test_a_closed_stream_is_no_reason_for_a_traceback(tmp_path: Path, words: str, code: int) -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} -m chatbot {words}"],
        env={"PATH": "", "CHATBOT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr


def test_what_the_encoding_of_stdout_lacks_is_printed_as_a_question_mark() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from chatbot.cli.streams import open_streams; open_streams(); print('\u00e9t\u00e9')"],
        env={"PATH": "", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("?t?\n", "")


def test_an_interrupt_while_the_program_is_imported_ends_it_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    ended = chatbot("--version", home=tmp_path, PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize("words", ["adapter show p", "adapter train --from p", "ask --persona p"])
def test_a_shell_completes_the_names_of_personas(tmp_path: Path, words: str) -> None:
    line = {
        "COMP_WORDS": f"chatbot {words}",
        "COMP_CWORD": str(len(words.split())),
        "_CHATBOT_COMPLETE": "complete_bash",
    }
    assert chatbot(home=tmp_path, **line).stdout.split() == ["pirate", "poet"]
