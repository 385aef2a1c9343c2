"""One message: who speaks, how it stands, and the text."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.folds import LONGEST
from tui.state import Message, MessageStatus
from tui.widgets.headline import Headline
from tui.widgets.reply_text import ReplyText

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
            self._body.change(message)

    def mark(self, is_marked: bool) -> None:
        """Show whether the user has chosen this message."""
        self.is_marked = is_marked
        self.set_class(is_marked, "marked")
        self._headline.show(self.message, self._speaker, is_marked=is_marked)

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
            return ReplyText(self.message)
        return Static(beginning(self.message.text), classes="body", markup=False)
