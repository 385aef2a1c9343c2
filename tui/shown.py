"""The state that is on the screen, and who is told when it changes."""

import time
from collections.abc import Callable

from chatbot.client import Event, ServerUnreachable
from tui import replies, transitions
from tui.state import State


class Shown:
    """Holds the newest state. `on_change` is told after every step; it must be quick, and decides what to draw."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.state = State()
        self._on_change = on_change

    def set(self, state: State) -> None:
        self.state = state
        self._on_change()

    def need_server(self) -> None:
        """Refuse what would wait for a server unseen, and be forgotten when the user leaves.

        Raises ServerUnreachable where no server answers now.
        """
        if self.state.connection != "live":
            raise ServerUnreachable("no server answers")

    def receive(self, event: Event, *, is_live: bool = True) -> None:
        """Take in what a reply's stream says, now or, where it is not `is_live`, said before."""
        self.set(replies.received(self.state, event, time.monotonic() if is_live else None))

    def note(self, text: str, sheet: str | None = None) -> None:
        """Tell the user something in the transcript of the chat that a sheet belongs to, or else of the open one."""
        self.set(transitions.noted(self.state, text, sheet))
