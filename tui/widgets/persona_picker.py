"""Choosing who answers: type a few letters, press Enter."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.fuzzy import Matcher
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from tui.state import Model


class PersonaPicker(ModalScreen[str | None]):
    """Returns the id of the model that was picked, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
    ]

    def __init__(self, models: tuple[Model, ...], current: str | None) -> None:
        super().__init__()
        self._models = models
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label("Who answers from now on in this conversation?", markup=False)
            yield Input(placeholder="type to search", select_on_focus=False)
            yield OptionList(markup=False, compact=True)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self._list("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._list(event.value)

    def on_input_submitted(self) -> None:
        option = self.query_one(OptionList).highlighted_option
        self.dismiss(option.id if option else None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_move(self, step: int) -> None:
        options = self.query_one(OptionList)
        if options.option_count:
            options.highlighted = ((options.highlighted or 0) + step) % options.option_count

    def _list(self, query: str) -> None:
        options = self.query_one(OptionList)
        found = ranked(self._models, query)
        options.clear_options()
        options.add_options([Option(self._line(model), id=model.id) for model in found])
        current = next((n for n, model in enumerate(found) if model.id == self._current), 0)
        options.highlighted = current if found else None

    def _line(self, model: Model) -> Content:
        mark = "▸ " if model.id == self._current else "  "
        about = model.description or ("" if model.is_persona else "the model without a persona")
        return Content.assemble(mark, (model.id, "bold"), (f"  {about}", "dim"))


def ranked(models: tuple[Model, ...], query: str) -> list[Model]:
    """Return the models that match, best first; all of them for an empty query."""
    if not query:
        return list(models)
    matcher = Matcher(query)
    scored = [(matcher.match(model.id), model) for model in models]
    return [model for score, model in sorted(scored, key=lambda pair: -pair[0]) if score > 0]
