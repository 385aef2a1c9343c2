"""The place to write: Enter sends, Shift+Enter or ^J makes a new line, the arrows at its edges walk what was sent."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message as Notice
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditHistory, EditResult, Location, Selection

from tui.commands import matching, trimmed
from tui.folds import Folds

NEWLINE_KEYS = ("shift+enter", "ctrl+j", "alt+enter")


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is being written, where, and what of it can be undone."""

    text: str
    selection: Selection
    history: EditHistory


class Editor(TextArea):
    """A text area that knows what a message is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "scroll_transcript(-1)", show=False),
        Binding("pagedown", "scroll_transcript(1)", show=False),
        Binding("ctrl+end", "follow", show=False),
    ]

    @dataclass
    class Ended(Notice):
        """The user pressed ^D where nothing is written, which ends the input of a shell."""

    @dataclass
    class Scroll(Notice):
        """The user wants to read further up (-1) or down (1), or at the end (0)."""

        direction: int

    def __init__(self, submitted: Callable[[str], None]) -> None:
        """`submitted` gets each finished message or command before any later key means anything."""
        super().__init__(
            id="editor", placeholder="Message… (/ for commands)", highlight_cursor_line=False, compact=True
        )
        self._submitted = submitted
        self.folds = Folds()
        self._recall: Callable[[], list[str]] = list
        self._sent: list[str] = []
        self._place = 0

    def remember(self, recall: Callable[[], list[str]]) -> None:
        """Set who knows what the up arrow brings back; that is asked once the arrow is pressed."""
        self._recall, self._sent, self._place = recall, [], 0

    async def _on_key(self, event: events.Key) -> None:
        if self._takes(event.key):
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)

    def _takes(self, key: str) -> bool:
        """Act on the keys that mean something else here than in a text area; False for all others."""
        line = self.cursor_location[0]
        if key == "enter":
            self._submit()
        elif key in NEWLINE_KEYS:
            self.insert("\n")
        elif key == "ctrl+d" and not self.text:
            self.post_message(self.Ended())
        elif key == "tab":
            return self._complete()
        elif key == "up":
            return line == 0 and self._walk(-1)
        elif key == "down":
            return line == self.document.line_count - 1 and self._walk(1)
        else:
            return False
        return True

    def _submit(self) -> None:
        text = trimmed(self.folds.unfolded(self.text))
        if text:
            self.text = ""
            self._submitted(text)

    def _complete(self) -> bool:
        commands = matching(self.text)
        if commands:
            self.replace_all(f"/{commands[0].name} ")
        return bool(commands)

    def _walk(self, step: int) -> bool:
        """Bring back an earlier message; only from an empty editor or from one brought back before."""
        text = self.folds.unfolded(self.text)
        begins = not text and step < 0
        if begins:
            self._sent = self._recall()
            self._place = len(self._sent)
        is_walking = begins or (self._place < len(self._sent) and text == self._sent[self._place])
        target = self._place + step
        if not is_walking or not 0 <= target <= len(self._sent):
            return False
        self._place = target
        self.replace_all(self._sent[target] if target < len(self._sent) else "")
        return True

    @property
    def selected_text(self) -> str:
        """What is selected, in full."""
        return self.folds.unfolded(super().selected_text)

    def edit(self, edit: Edit) -> EditResult:
        """Fold what makes the text long, and take each fold as a whole: what is put into one goes behind it."""
        beside = len(self.text) - len(self.get_text_range(edit.top, edit.bottom))
        edit.text = self.folds.folded(edit.text, beside)
        begins, ends = self._fold_at(edit.top)[0], self._fold_at(edit.bottom)[1]
        edit.from_location, edit.to_location = ends if edit.top == edit.bottom else begins, ends
        return super().edit(edit)

    def _fold_at(self, place: Location) -> tuple[Location, Location]:
        """Return both ends of the fold that a place is within, or the place twice."""
        row, column = place
        if row >= self.document.line_count:
            return place, place
        begins, ends = self.folds.around(self.document.get_line(row), column)
        return (row, begins), (row, ends)

    def replace_all(self, text: str) -> None:
        """Put a text in and the cursor at its end; ^Z brings back what was there."""
        self.replace(text, self.document.start, self.document.end, maintain_selection_offset=False)

    def turn_to(self, sheet: Sheet | None) -> Sheet:
        """Go on with what was being written elsewhere, or with nothing; return what was being written here."""
        left = Sheet(self.text, self.selection, self.history)
        self.history = replace(left.history)  # an empty one, for loading clears it
        self.load_text(sheet.text if sheet else "")
        if sheet:
            self.history, self.selection = sheet.history, sheet.selection
        return left

    def action_scroll_transcript(self, direction: int) -> None:
        self.post_message(self.Scroll(direction))

    def action_follow(self) -> None:
        self.post_message(self.Scroll(0))
