"""The list of conversations at the left, newest first."""

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message as Notice
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.state import Chat, State

MORE = "more"
Lines = tuple[tuple[str, str], ...]
"""Of each chat its id and what stands there."""


class ConversationList(OptionList):
    """Titles with a dot where something is unseen; redrawn only when a line of it changes."""

    BINDINGS = [("delete", "delete", "Delete")]  # noqa: RUF012 (Textual merges them along the class tree)

    @dataclass
    class Chosen(Notice):
        """A conversation was picked."""

        chat_id: str

    @dataclass
    class MoreWanted(Notice):
        """The older part of the list was asked for."""

    @dataclass
    class DeleteWanted(Notice):
        """A conversation is to be deleted."""

        chat_id: str

    def __init__(self) -> None:
        super().__init__(id="conversations", markup=False, compact=True)
        self.border_title = "Conversations"
        self._drawn: Lines = ()

    def show(self, state: State) -> None:
        """Bring the list up to date, with the open chat highlighted, or what the user has gone to in the list."""
        lines = tuple((chat.id, label(chat)) for chat in state.chats)
        if state.has_more_chats:
            lines = (*lines, (MORE, "… older ones"))
        option = self.highlighted_option
        place = self._place(lines, state.current, option.id if self.has_focus and option else state.current)
        if lines == self._drawn:
            self.highlighted = place
        else:
            self._drawn = lines
            self._draw(place, stays=option is not None and place is not None and option.id == lines[place][0])

    def _place(self, lines: Lines, current: str | None, chosen: str | None) -> int | None:
        """Where the highlight belongs in new lines: on what was chosen, or on the first of the older ones that came."""
        places = {name: place for place, (name, _) in enumerate(lines)}
        if chosen == MORE and (last := places.get(self._drawn[-2:][0][0])) is not None:
            return min(last + 1, len(lines) - 1)
        return places.get(chosen or "", places.get(current or ""))

    def _draw(self, place: int | None, *, stays: bool) -> None:
        """Draw all lines; where the highlight `stays` on its line, what is in sight does too."""
        top = self.scroll_y
        self.set_options([Option(Content(text), id=name) for name, text in self._drawn])
        self.highlighted = place
        if stays:
            self.scroll_to(y=top, animate=False, immediate=True)
            if self.has_focus:
                self.scroll_to_highlight()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id == MORE:
            self.post_message(self.MoreWanted())
        elif event.option_id:
            self.post_message(self.Chosen(event.option_id))

    def action_delete(self) -> None:
        option = self.highlighted_option
        if option and option.id and option.id != MORE:
            self.post_message(self.DeleteWanted(option.id))


def label(chat: Chat) -> str:
    """Return the line of a chat: a dot if something in it is unseen, dots if somebody writes."""
    mark = "…" if chat.open_reply else "●" if chat.is_unseen else " "
    return f"{mark} {chat.title or 'New conversation'}"
