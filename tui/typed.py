"""What the up arrow brings back: what was said in the open chat, and the commands, which belong to every chat."""

from tui.commands import line_of
from tui.safe_text import safe_text
from tui.state import State

ANYWHERE = ""
"""Stands for the sheet of what was typed for no chat in particular."""


class Typed:
    """What was sent from this terminal, each line once, newest last."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []

    def add(self, line: str, sheet: str = ANYWHERE) -> None:
        entry = (sheet, safe_text(line))
        self._lines = [*(other for other in self._lines if other != entry), entry]

    def within(self, state: State) -> list[str]:
        """Return what can be sent again in the open chat; what was said in it before, or elsewhere, comes first."""
        ours = {line: None for sheet, line in self._lines if sheet in (ANYWHERE, state.sheet)}
        messages = state.chat.messages if state.chat else ()
        said = (line_of(message.text) for message in messages if message.role == "user")
        return [*(line for line in said if line not in ours), *ours]
