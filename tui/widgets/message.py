"""One message: who speaks, how it stands, and the text.

A reply is one widget that holds the rendered text, because Textual's layout cost grows with every node on the page.
It looks the same while it is being written and after.
"""

import re
import time

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from tui.chat_markdown import rendered
from tui.folds import LONGEST
from tui.state import Message, MessageStatus
from tui.widgets.headline import Headline

ENDINGS: dict[MessageStatus, str] = {
    "unsent": "not sent",
    "stopped": "stopped",
    "interrupted": "interrupted",
    "cut": "cut off at the length limit",
    "failed": "failed",
}

LINES_OF_LONG = 12
CHARACTERS_OF_LONG = 1_000
"""How much is shown of a message that is too long to be shown whole."""

RESTS = 4
"""How many times as long as it took to render a text it is left as it is while it grows."""

_MARKUP = re.compile(
    r"[*_`#|\[\]<>~]|&#?\w+;|^\s*(?:[-+]|\d+[.)])\s|^ {4}|^-{3,}|\n\S.*\n[=-]{2,}|https?:", re.MULTILINE
)


def ending(message: Message) -> Content:
    """Return the line below the text: why it ends there, or did not arrive; empty where all is well.

    It stands where the reader is: the line above a long text is out of sight by then.
    """
    end = ENDINGS.get(message.status, "")
    return (
        Content.styled(f"({end}: {message.remark})" if message.remark else f"({end})", "italic dim")
        if end
        else Content()
    )


def beginning(text: str) -> str:
    """Return a text, or as much of a long one as can be laid out at once and leaves what comes after it in sight."""
    if len(text) <= LONGEST:
        return text
    lines = text[:LONGEST].split("\n")[:LINES_OF_LONG]
    shown = "\n".join(lines)[:CHARACTERS_OF_LONG]
    return f"{shown}\n… and {len(text) - len(shown):,} more characters"


class ReplyText(Static):
    """A reply in one node. It is rendered when its width is known, and again when that or the text changes."""

    def __init__(self, text: str) -> None:
        super().__init__(markup=False)
        self._text = text
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

    def change(self, text: str) -> None:
        """Show another text: there is more of it, or the server knew better."""
        if text != self._text:
            self._text, self._rendered = text, (0, Content(""))
            self.refresh(layout=True)

    def _at(self, width: int) -> Content:
        if width > 0 and self._rendered[0] != width:
            started_at = time.monotonic()
            self._rendered = (width, _laid_out(self._text, width))
            ended_at = time.monotonic()
            self._rests_until = ended_at + RESTS * (ended_at - started_at)
        return self._rendered[1]


def _laid_out(text: str, width: int) -> Content:
    """Return a reply as it looks at a width."""
    return rendered(text, width) if _MARKUP.search(text) else Content(text.strip("\n"))


class MessageView(Vertical):
    """A message on the screen; `show()` brings it up to date."""

    def __init__(self, message: Message, speaker: str) -> None:
        super().__init__(classes=f"message {message.role}")
        self.message = message
        self._speaker = speaker
        self.is_marked = False
        self._headline = Headline(message, speaker)
        self._body = self._new_body()
        self._ending = Static(ending(message), classes="ending", markup=False)

    def compose(self) -> ComposeResult:
        yield self._headline
        yield self._body
        if ending(self.message):
            yield self._ending

    @property
    def is_rested(self) -> bool:
        """Whether more of its text may be shown already."""
        return not isinstance(self._body, ReplyText) or self._body.is_rested

    async def show(self, message: Message, speaker: str) -> None:
        """Show a newer form of the same message."""
        if self._line_of(message, speaker) != self._line_of(self.message, self._speaker):
            self._headline.show(message, speaker, is_marked=self.is_marked)
            await self._tell(ending(message))
        self.message, self._speaker = message, speaker
        if isinstance(self._body, ReplyText):
            self._body.change(message.text)

    def mark(self, is_marked: bool) -> None:
        """Show whether the user has chosen this message, and bring it into sight then."""
        self.is_marked = is_marked
        self.set_class(is_marked, "marked")
        self._headline.show(self.message, self._speaker, is_marked=is_marked)
        if is_marked:
            self.scroll_visible(animate=False)

    def _line_of(self, message: Message, speaker: str) -> tuple[object, ...]:
        """Everything but the text."""
        return message.status, message.remark, message.versions, speaker

    async def _tell(self, end: Content) -> None:
        """Show how the text ended; most do not need the line."""
        self._ending.update(end)
        self._ending.display = bool(end)
        if end and not self._ending.is_attached:
            await self.mount(self._ending)

    def _new_body(self) -> Static:
        if self.message.role == "assistant":
            return ReplyText(self.message.text)
        return Static(beginning(self.message.text), classes="body", markup=False)
