"""Copying: the escape sequences and the tools."""

import os
import sys
from pathlib import Path

import pytest

from tui import clipboard


def test_the_escape_sequence_is_wrapped_for_tmux() -> None:
    assert clipboard.osc52("hi", in_tmux=False) == "\x1b]52;c;aGk=\x07"
    assert clipboard.osc52("hi", in_tmux=True) == "\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\"


def test_the_tool_gets_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.exit(sys.stdin.buffer.read().decode() != 'grüße')"
    monkeypatch.setattr(clipboard, "tool_command", lambda: [sys.executable, "-c", code])
    assert clipboard.copy_with_tool("grüße") is not None
    assert clipboard.copy_with_tool("other") is None


def test_a_tool_that_stays_behind_to_serve_the_text_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As xclip and wl-copy do, with all that they inherited open until something else is copied."""
    end = tmp_path / "end"
    os.mkfifo(end)
    stays = f"open({str(end)!r}).read()"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {stays!r}])"
    monkeypatch.setattr(clipboard, "tool_command", lambda: [sys.executable, "-c", code])
    assert clipboard.copy_with_tool("hi") is not None
    end.write_text("")


def test_no_desktop_means_no_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert clipboard.tool_command() is None
    assert clipboard.copy_with_tool("x") is None
