import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch


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


def test_a_missing_model_directory_is_told_by_its_path(tmp_path: Path) -> None:
    ended = chatbot("serve", "--port", "0", "--model", str(tmp_path / "nothing"), home=tmp_path)
    assert ended.returncode == 1
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


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"CHATBOT_PORT": "99999"}, "CHATBOT_PORT: setting port"),
        ({"chatbot_slots": "0"}, "chatbot_slots: setting slots: Input should be greater than or equal to 1, got '0'"),
        ({"CHATBOT_LOG_LEVEL": "loud"}, "log_level: expected one of debug, info, warning, error, got 'loud'\n"),
        ({"CHATBOT_DEVICE": "gpu"}, "setting device: expected auto, cpu or cuda, got 'gpu'\n"),
        ({"CHATBOT_HOME": "~nobody-here/x"}, "setting home: expected a folder, but there is no such user, got"),
        (
            {"CHATBOT_HOST": "", "CHATBOT_API_KEY": "key"},
            "setting host: String should have at least 1 character, got ''",
        ),
        ({"CHATBOT_MODEL": ""}, "setting model: String should have at least 1 character, got ''"),
        ({"CHATBOT_ALLOW_ORIGIN": "chat.example"}, "'chat.example' is no origin"),
        ({"CHATBOT_PROT": "1", "CHATBOT_PORT": "x"}, "CHATBOT_PROT is ignored: there is no such setting; did you mean"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, environment: dict[str, str], complaint: str) -> None:
    ended = chatbot("serve", home=tmp_path, **environment)
    assert (ended.returncode, complaint in ended.stderr) == (2, True), ended.stderr


def test_of_all_that_say_a_setting_the_one_that_counts_is_named(tmp_path: Path) -> None:
    ended = chatbot("serve", "--port", "70000", home=tmp_path, CHATBOT_PORT="80000")
    assert ended.stderr.startswith("--port: setting port: ")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"port = ", "chatbot.toml: expected settings in TOML, such as `port = 8765`: Invalid value (at "),
        (b'instructions = "\xff"', "expected settings in TOML"),
        (b"port = 70000", "/chatbot.toml: setting port: Input should be less than or equal to 65535, got 70000"),
        (b"prot = 1", "/chatbot.toml: setting prot: there is no such setting; did you mean port?"),
    ],
)
def test_a_file_of_settings_that_says_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatbot.toml").write_bytes(said)
    ended = chatbot("adapter", "list", home=tmp_path, PYTHONPATH=str(Path(__file__).parents[2]))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    ended = chatbot("serve", "--port", "0", home=tmp_path, CHATBOT_DEVICE="cuda")
    assert ended.returncode == 1
    told = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert told == ["device: expected a GPU for 'cuda', but torch finds none; try: CHATBOT_DEVICE=cpu"]


def test_flags_that_a_command_would_not_see_are_bad_usage(tmp_path: Path) -> None:
    ended = chatbot("--conversation", "notes", "ask", "hi", home=tmp_path)
    assert (ended.returncode, "--conversation" in ended.stderr) == (2, True)


def test_nothing_to_say_is_bad_usage(tmp_path: Path) -> None:
    assert chatbot("ask", "  ", home=tmp_path).returncode == 2


@pytest.mark.parametrize("words", [["ask", "hi"], ["--plain"]])
def test_an_empty_title_is_bad_usage(tmp_path: Path, words: list[str]) -> None:
    ended = chatbot(*words, "--conversation", "", home=tmp_path)
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
    ("words", "code"), [("ask <&-", 2), ("adapter list >&-", 0), ("conversations import nothing 2>&-", 1)]
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
