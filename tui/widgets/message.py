"""One message: who speaks, how it stands, and the text.

A reply that is being written is a live `Markdown` widget (dozens of nodes). Once settled it can be frozen to a
single widget that holds the rendered text, because Textual's layout cost grows with every node on the page.
"""

import re

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Markdown, Static

from tui.chat_markdown import chat_markdown, rendered
from tui.folds import LONGEST
from tui.safe_text import safe_markdown
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


class FrozenReply(Static):
    """A settled reply in one node. It is rendered when its width is known, and again when that changes."""

    def __init__(self, text: str) -> None:
        super().__init__(markup=False)
        self._text = text
        self._is_plain = _MARKUP.search(text) is None
        self._rendered: tuple[int, Content] = (0, Content(""))

    def render(self) -> Content:
        return self._at(self.size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._at(width).get_height({}, width)

    def change(self, text: str) -> None:
        """Show another text: the server knew better."""
        if text != self._text:
            self._text, self._rendered = text, (0, Content(""))
            self._is_plain = _MARKUP.search(text) is None
            self.refresh(layout=True)

    def _at(self, width: int) -> Content:
        if self._is_plain:
            return Content(self._text)
        if width > 0 and self._rendered[0] != width:
            self._rendered = (width, rendered(self._text, width))
        return self._rendered[1]


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
        self._shown = message.text if isinstance(self._body, FrozenReply) else ""

    def compose(self) -> ComposeResult:
        yield self._headline
        yield self._body
        if ending(self.message):
            yield self._ending

    @property
    def is_live(self) -> bool:
        return isinstance(self._body, Markdown)

    async def show(self, message: Message, speaker: str) -> None:
        """Show a newer form of the same message: only what is new of a streamed text is parsed."""
        if self._line_of(message, speaker) != self._line_of(self.message, self._speaker):
            self._headline.show(message, speaker, is_marked=self.is_marked)
            await self._tell(ending(message))
        self.message, self._speaker = message, speaker
        await self.catch_up()

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

    async def catch_up(self) -> None:
        """Bring the text on the screen up to the message."""
        if isinstance(self._body, FrozenReply):
            self._body.change(self.message.text)
        text = safe_markdown(self.message.text)
        if not isinstance(self._body, Markdown) or text == self._shown:
            return
        if text.startswith(self._shown):
            await self._body.append(text[len(self._shown) :])
        else:
            await self._body.update(text)
        self._shown = text

    async def freeze(self) -> None:
        """Trade the live widgets for one, once the text is final."""
        if self.is_live and self.message.is_settled:
            frozen = FrozenReply(self.message.text)
            await self.mount(frozen, after=self._headline)
            await self._body.remove()
            self._body = frozen

    def _new_body(self) -> Widget:
        if self.message.role != "assistant":
            return Static(beginning(self.message.text), classes="body", markup=False)
        if self.message.is_settled:
            return FrozenReply(self.message.text)
        return Markdown(parser_factory=chat_markdown, open_links=False, classes="body")
