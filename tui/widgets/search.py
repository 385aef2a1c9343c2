"""Finding a conversation by what was said in it, among all that the server keeps."""

import asyncio
from collections.abc import Awaitable, Callable

from textual.content import Content
from textual.widgets import Input
from textual.widgets.option_list import Option

from chatbot.client import ChatbotError, JsonObject
from tui.safe_text import safe_line
from tui.widgets.picker import Picker

PAUSE_S = 0.15
"""After the last letter, before the server is asked."""
Find = Callable[[str], Awaitable[list[JsonObject]]]
"""Returns the conversations in which words were said, newest first."""


class Search(Picker):
    """Returns the id of the conversation that was picked, or None; `found` has what the server says of them."""

    question = "Find a conversation by its title or by words that were said in it."
    placeholder = "words"

    def __init__(self, find: Find, words: str) -> None:
        super().__init__(words)
        self._find = find
        self.found: dict[str, JsonObject] = {}
        self._is_looking = False
        self._is_picked = False
        self._has_failed = False

    def pick(self) -> None:
        """Return what is highlighted, and not before that was found for the words as they are now."""
        self._is_picked = self._is_looking
        if self._has_failed:
            self.look_up(self.query_one(Input).value)
        elif not self._is_looking:
            super().pick()

    def look_up(self, query: str) -> None:
        self._is_looking, self._is_picked, self._has_failed = True, False, False
        self.run_worker(self._look_up(query), exclusive=True)

    async def _look_up(self, query: str) -> None:
        await asyncio.sleep(PAUSE_S)  # the next letter, if there is one, ends this
        self.tell("searching…")
        try:
            found = await self._find(query)
        except ChatbotError as error:
            self._fail(error)
            return
        self.found |= {body["id"]: body for body in found}
        self.offer([Option(_line(body), id=body["id"]) for body in found])
        self._is_looking = False
        if self._is_picked:
            self.pick()

    def _fail(self, error: ChatbotError) -> None:
        self._is_looking, self._has_failed = False, True
        self.offer([])
        self.tell(f"Not searched: {error} · Enter tries again")


def _line(body: JsonObject) -> Content:
    """Return the title, and below it where the words were said."""
    title = safe_line(body.get("title") or "New conversation")
    passage = safe_line((body.get("found") or {}).get("passage") or "")
    return Content.assemble(title, (f"\n  {passage}", "dim") if passage else "")
