"""Picking one of several: type a few letters, move with the arrows, press Enter."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option


class Picker(ModalScreen[str | None]):
    """Returns the id of the option that was picked, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
    ]
    question = ""
    placeholder = "type to search"

    def __init__(self, query: str = "") -> None:
        super().__init__()
        self._query = query

    @abstractmethod
    def look_up(self, query: str) -> None:
        """`offer` what fits a query, now or soon."""

    def offer(self, options: Sequence[Option], highlighted: int = 0) -> None:
        """Show these options and no others; where there are none, say so."""
        self.tell("" if options else "Nothing fits.")
        listing = self.query_one(OptionList)
        listing.clear_options()
        listing.add_options(options)
        listing.highlighted = highlighted if options else None

    def tell(self, text: str) -> None:
        """Say something below the options; nothing once there is nothing to say."""
        told = self.query_one("#told", Label)
        told.update(text)
        told.display = bool(text)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.question, markup=False, classes="line")
            yield Input(self._query, placeholder=self.placeholder, select_on_focus=False)
            yield OptionList(markup=False, compact=True)
            yield Label(id="told", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self.tell("")
        self.look_up(self._query)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.look_up(event.value)

    def on_input_submitted(self) -> None:
        self.pick()

    def pick(self) -> None:
        """Return what is highlighted; where nothing fits, stay, so that the query can be changed."""
        option = self.query_one(OptionList).highlighted_option
        if option:
            self.dismiss(option.id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_move(self, step: int) -> None:
        options = self.query_one(OptionList)
        if options.option_count:
            options.highlighted = ((options.highlighted or 0) + step) % options.option_count
