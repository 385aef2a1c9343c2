"""A real terminal: a program in a tmux of its own, typed at and looked at."""

import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TIMEOUT_S = 120.0


class Terminal:
    """One tmux session with one program in it."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ["tmux", "-S", str(socket)]

    def start(self, command: str, *, columns: int = 110, lines: int = 32) -> None:
        """Run a command; the screen stays when it ends, so that it can be read."""
        size = ["-x", str(columns), "-y", str(lines)]
        self._run("new-session", "-d", "-s", "main", *size, f"{command}; echo ended with $?; cat")

    def type(self, text: str) -> None:
        self._run("send-keys", "-t", "main", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by their tmux names, such as Enter, Escape or C-q."""
        self._run("send-keys", "-t", "main", *keys)

    def screen(self) -> str:
        return self._run("capture-pane", "-t", "main", "-p")

    def wait_for(self, text: str, *, times: int = 1) -> str:
        """Return the screen once it shows the text; fail with the screen as it is after two minutes."""
        return self.wait_until(lambda screen: screen.count(text) >= times, f"show {text!r} {times} times")

    def wait_until(self, condition: Callable[[str], bool], wish: str) -> str:
        """Return the screen once it is as wished."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            shown = self.screen()
            if condition(shown):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"the screen never did {wish}:\n{self.screen()}")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def chat_terminal(folder: Path, *arguments: str) -> Iterator[Terminal]:
    """Open the chat in a terminal, with everything it keeps below a folder; its server goes away by itself."""
    terminal = Terminal(folder / f"tmux-{secrets.token_hex(4)}")
    environment = {"CHATBOT_HOME": str(folder / "home"), "CHATBOT_IDLE_EXIT_S": "5", "TERM": "xterm-256color"}
    assigned = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    path = f"PYTHONPATH={shlex.quote(os.getcwd())}"
    try:
        terminal.start(f"env {assigned} {path} {sys.executable} -m chatbot {shlex.join(arguments)}")
        yield terminal
    finally:
        terminal.close()
