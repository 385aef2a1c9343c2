"""Choosing who answers."""

from collections.abc import Awaitable, Callable

from textual.content import Content
from textual.fuzzy import Matcher
from textual.widgets import Input
from textual.widgets.option_list import Option

from tui.state import Model
from tui.widgets.picker import Picker

Models = tuple[Model, ...]


class PersonaPicker(Picker):
    """Returns the id of the model that was picked, or None.

    It shows at once who is known, and then who else `refresh` returns: a server that takes its time must not have it
    pop up under what is typed meanwhile.
    """

    question = "Who answers from now on in this conversation?"

    def __init__(self, models: Models, current: str | None, refresh: Callable[[], Awaitable[Models]]) -> None:
        super().__init__()
        self._models = models
        self._current = current or next((model.id for model in models if not model.is_persona), None)
        self._refresh = refresh

    def on_mount(self) -> None:
        self.run_worker(self._look_again())

    async def _look_again(self) -> None:
        models = await self._refresh()
        if models != self._models:
            self._models = models
            self.look_up(self.query_one(Input).value)

    def look_up(self, query: str) -> None:
        found = ranked(self._models, query)
        current = next((n for n, model in enumerate(found) if model.id == self._current), 0)
        self.offer([Option(self._line(model), id=model.id) for model in found], current)

    def _line(self, model: Model) -> Content:
        mark = "▸ " if model.id == self._current else "  "
        about = model.description or ("" if model.is_persona else "the model without a persona")
        return Content.assemble(mark, (model.id, "bold"), (f"  {about}", "dim"))


def ranked(models: Models, query: str) -> list[Model]:
    """Return the models that match, best first; all of them for an empty query."""
    if not query:
        return list(models)
    matcher = Matcher(query)
    scored = [(matcher.match(model.id), model) for model in models]
    return [model for score, model in sorted(scored, key=lambda pair: -pair[0]) if score > 0]
