"""The text of a reply, which looks the same while it is being written and after.

It is one widget that holds the rendered text, because Textual's layout cost grows with every node on the page.
"""

import re
import time

from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from tui.chat_markdown import kept, rendered
from tui.folds import LONGEST
from tui.state import Message

RESTS = 4
"""How many times as long as it took to render a text it is left as it is while it grows."""

_MARKUP = re.compile(r"[*_`#|\[\]<>~]|&#?\w+;|^\s*(?:[-+]|\d+[.)])\s|^ {4}|^-{3,}|\n\S.*\n[=-]{2,}", re.MULTILINE)


class ReplyText(Static):
    """A reply in one node. It is rendered when its width is known, and again when that or the text changes."""

    def __init__(self, message: Message) -> None:
        super().__init__(markup=False)
        self._text = message.text
        self._is_settled = message.is_settled
        self._rendered: tuple[int, Content] = (0, Content(""))
        self._rests_until = 0.0

    @property
    def is_rested(self) -> bool:
        """Whether it may be rendered again: a text that grows costs more each time, and has to leave time for keys."""
        return time.monotonic() >= self._rests_until

    def render(self) -> Content:
        return self._at(self.size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._at(width).get_height({}, width)

    def change(self, message: Message) -> None:
        """Show another text: there is more of it, or the server knew better."""
        self._is_settled = message.is_settled
        if message.text != self._text:
            self._text, self._rendered = message.text, (0, Content(""))
            self.refresh(layout=True)

    def _at(self, width: int) -> Content:
        if width > 0 and self._rendered[0] != width:
            started_at = time.monotonic()
            self._rendered = (width, reply_at(width, self._text, is_settled=self._is_settled))
            ended_at = time.monotonic()
            self._rests_until = ended_at + RESTS * (ended_at - started_at)
        return self._rendered[1]


def reply_at(width: int, text: str, *, is_settled: bool) -> Content:
    """Return a reply, or as much of a long one as can be laid out at once, as it looks at a width."""
    shown = text[:LONGEST]
    draw = kept if is_settled else rendered
    content = draw(shown, width) if _MARKUP.search(shown) else Content(shown.strip("\n"))
    if shown == text:
        return content
    return Content.assemble(
        content, (f"\n\n… and {len(text) - len(shown):,} more characters; /export has them", "italic dim")
    )
