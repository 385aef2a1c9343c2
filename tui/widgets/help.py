"""Keys and commands on one page, made from the table of commands."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import COMMANDS, key_label

EDITING = (
    ("Enter", "send; messages sent while a reply is written wait their turn"),
    ("Shift+Enter, ^J", "new line"),
    ("Up, Down", "bring back what you sent, commands too, from an empty editor"),
    ("PgUp, PgDn, ^End", "read back, go to the newest text"),
    ("Alt+Up, Alt+Down", "mark a message, for /copy, /edit, /retry and its versions; Esc lets go"),
    ("Tab", "complete a command; with none typed, go to the list, where Delete deletes"),
    ("^C", "copy what is selected, or stop the reply; twice: quit, as ^D does in an empty editor"),
    ("^P", "palette: every command, themes (TEXTUAL_THEME keeps one), screenshot"),
)


def help_text() -> Content:
    """Return the page."""
    lines: list[Content | str] = [Content.styled("Keys\n", "bold")]
    lines += [f"  {keys:<18}{what}\n" for keys, what in EDITING]
    lines += [f"  {key_label(c.key):<18}{c.help}\n" for c in COMMANDS if c.key]
    lines += [Content.styled("\nCommands\n", "bold")]
    lines += [f"  {c.usage:<18}{c.help}\n" for c in COMMANDS]
    return Content.assemble(*lines, Content.styled("\nEsc closes this page.", "dim"))


class HelpScreen(ModalScreen[None]):
    """Shows the page until it is closed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q", "dismiss(None)", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog wide"):
            yield Static(help_text(), markup=False)
