"""What a person does in the first minutes, on the model that ships, in a real terminal."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import Terminal, chat_terminal

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


def test_a_chat_is_there_again_after_quitting_and_the_model_answers_from_it(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.wait_for("Say hello")
        for turn, text in enumerate(("my name is Mira", "how are you?"), start=1):
            terminal.type(text)
            terminal.press("Enter")
            reply_to(terminal, turn)
        terminal.press("C-q")
        terminal.wait_for("ended with 0")
    with chat_terminal(tmp_path) as terminal:
        terminal.type("what is my name?")  # before there is a screen
        terminal.wait_until(lambda screen: "how are you?" in screen and "│ what is my name?" in screen, "hold it")
        terminal.press("Enter")
        assert "Mira" in reply_to(terminal, 3)
        terminal.press("C-q")
        terminal.wait_for("ended with 0")


def reply_to(terminal: Terminal, turn: int) -> str:
    """Return the reply to this turn, once it is whole."""
    terminal.wait_for("Assistant", times=turn)
    shown = terminal.wait_until(
        lambda screen: not any(remark in screen for remark in ("sending…", "queued", "waits for", "writing…")),
        "finish its reply",
    )
    return shown.split("Assistant")[turn].split("╭")[0]


def test_scripts_talk_on_stdin_and_stdout_and_are_remembered(tmp_path: Path) -> None:
    def chatbot(*arguments: str, stdin: str = "") -> str:
        environment = {"CHATBOT_HOME": str(tmp_path), "CHATBOT_IDLE_EXIT_S": "5", "CHATBOT_TEMPERATURE": "0"}
        program = [sys.executable, "-m", "chatbot", *arguments]
        ended = subprocess.run(program, env=environment, input=stdin, capture_output=True, text=True, check=True)
        return ended.stdout

    chatbot("ask", "my name is Mira", "--conversation", "notes")
    chatbot("ask", "-", "--conversation", "notes", stdin="how are you?")
    assert "Mira" in chatbot("ask", "what is my name?", "--conversation", "notes")
    lines = chatbot(stdin="my name is Mira\nhow are you?\nwhat is my name?\n").strip().splitlines()
    assert len(lines) == 3
    assert "Mira" in lines[-1]
