"""Two small questions: a line of text, and yes or no."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

LONGEST_TITLE = 200


class AskLine(ModalScreen[str | None]):
    """Returns the line that was typed, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Close")]

    def __init__(self, question: str, value: str) -> None:
        super().__init__()
        self._question = question
        self._value = value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False, classes="line")
            yield Input(self._value, max_length=LONGEST_TITLE)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)


class Confirm(ModalScreen[bool]):
    """Returns True for y alone, with caps lock too: Enter may have been meant for what was there before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,N,enter", "dismiss(False)", "No"),
        Binding("y,Y", "dismiss(True)", "Yes"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False)
            yield Label("y: yes · Esc: no", markup=False, classes="hint")
