"""Leaving the full screen: by a command or by a key pressed twice, and never unwarned with a message on its way."""

from textual.app import App

from tui.session import Session
from tui.widgets.editor import Editor

QUIT_WINDOW_S = 2.0


class LeavableApp(App[int]):
    """An app with a session, which is left once nothing would be lost or the user has been told what would."""

    session: Session
    _quit_asked = False
    _warned_of: frozenset[str] = frozenset()
    """Keys of the messages that the user was told would be lost."""

    def command_quit(self, _: str) -> None:
        """Leave, after the keys that the editor has yet to take: an Enter among them sends."""
        self.query_one(Editor).call_later(self._quit)

    def _quit(self) -> None:
        """Leave; with a message that the server does not have yet, only when asked twice."""
        unsent = self.session.state.unsent
        if unsent - self._warned_of:
            self._warned_of = unsent
            self.notify("A message has not reached the server yet. Quit again to leave without it.", markup=False)
            return
        self.exit(0)

    def action_help_quit(self) -> None:
        """^C with nothing to copy: it stops the reply that is being written, and the second one in a row quits."""
        is_stopped = not self._quit_asked and self.session.stop()
        self.ask_to_quit("The reply is stopped; ^C again quits." if is_stopped else "Press ^C again to quit.")

    def ask_to_quit(self, told: str) -> None:
        """Quit if that was asked for a moment ago; tell how to otherwise."""
        if self._quit_asked:
            self.command_quit("")
            return
        self._quit_asked = True
        self.set_timer(QUIT_WINDOW_S, self._forget_quit)
        self.notify(told, timeout=QUIT_WINDOW_S, markup=False)

    def _forget_quit(self) -> None:
        self._quit_asked = False
