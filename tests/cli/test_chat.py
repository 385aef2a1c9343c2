import sys

import pytest

from chatbot.cli.chat import chat

SCREEN, LINES = 7, 8


@pytest.mark.parametrize(("terminal", "told"), [("xterm-256color", SCREEN), ("", SCREEN), ("dumb", LINES)])
def test_a_terminal_that_cannot_be_drawn_on_is_written_to_line_by_line(
    monkeypatch: pytest.MonkeyPatch, terminal: str, told: int
) -> None:
    async def ensure(*_: object) -> str:
        return "http://127.0.0.1:9"

    async def lines(*_: object, **__: object) -> int:
        return LINES

    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("chatbot.server.launch.ensure_server", ensure)
    monkeypatch.setattr("tui.app.run", lambda *_, **__: SCREEN)
    monkeypatch.setattr("tui.plain.run_plain", lines)
    assert chat(model=None, conversation=None, plain=False) == told
