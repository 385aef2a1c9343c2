"""The messages of the open chat. It follows the newest text, but never moves a reader who has scrolled up.

Cost stays flat: text is drawn at most 15 times a second, long text less often, and only a window of the messages is
mounted, which moves with the reader.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from textual.containers import VerticalScroll
from textual.message import Message as Notice
from textual.widgets import Static

from tui.state import Chat, Message, State
from tui.widgets.message import MessageView
from tui.widgets.window import Window, newest

FLUSH_S = 1 / 15

EMPTY = """Say hello.

Type a message below and press Enter. Everything is kept: quit any time and it will be here tomorrow.

^T chooses who answers · /help shows what else there is"""


@dataclass(frozen=True, slots=True)
class _Pinned:
    """A message that stays, and where it was in all and on the screen before others were mounted."""

    view: MessageView
    y_before: int
    line: float


class Transcript(VerticalScroll):
    """Shows a chat; tell it of a new state with `show()`."""

    can_focus = False

    @dataclass
    class OlderWanted(Notice):
        """The reader has come to the top of what is here; he is not asked for again while he stays there."""

    @dataclass
    class ReadingPlace(Notice):
        """Whether there is more below what the reader sees."""

        has_more_below: bool

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self._state = State()
        self._chat_id: str | None = None
        self._views: dict[str, MessageView] = {}
        self._window = Window()
        self._marked_key: str | None = None
        self._is_stale = True
        self._asked_for: str | None = None
        """The item before which more was asked for, since the reader came to the top."""
        self._is_leaping = False
        """Whether the reader goes somewhere else, so that what he read need not stay where it is."""
        self._had_more_below = False
        self._pinned: _Pinned | None = None
        self._wanted: MessageView | None = None
        """What is brought into sight once it is laid out."""
        self._empty = Static(EMPTY, id="empty", markup=False)

    def on_mount(self) -> None:
        self.mount(self._empty)
        self.anchor()
        self.set_interval(FLUSH_S, self._flush)

    def show(self, state: State) -> None:
        """Note a new state; it is drawn at the next tick."""
        self._state = state
        self._is_stale = True

    def follow(self) -> None:
        """Go to the newest text and stay there."""
        self._window, self._is_stale, self._is_leaping = newest(self._keys), True, True
        self._pinned = self._wanted = None  # of a drawing that is under way
        self.anchor()

    def turn_page(self, pages: int) -> None:
        """Scroll at once: a place that is gone to later would miss what is put above the text meanwhile."""
        self._asked_for = None
        self.scroll_to(y=self.scroll_y + pages * self.scrollable_content_region.height, animate=False, immediate=True)

    @property
    def is_at_bottom(self) -> bool:
        return self._window.last is None and self._is_at_edge

    @property
    def _is_at_edge(self) -> bool:
        """Whether nothing that is mounted is below what the reader sees."""
        return self.max_scroll_y - max(0, self.scroll_y) < 2  # an anchored short page scrolls below zero

    @property
    def _keys(self) -> list[str]:
        return [message.key for message in self._state.chat.messages] if self._state.chat else []

    async def _flush(self) -> None:
        if not self._is_stale:
            self._watch_edges()
            return
        self._is_stale = False
        chat = self._state.chat
        if (chat.id if chat else None) != self._chat_id:
            await self._turn_to(chat)
        if chat:
            await self._draw(chat)
        self._empty.display = not self._views and (chat is None or chat.is_loaded)
        self._watch_edges()

    async def _turn_to(self, chat: Chat | None) -> None:
        """Leave the chat that was shown; a draft that got its real id is still the same one."""
        self._chat_id = chat.id if chat else None
        if chat and any(message.key in self._views for message in chat.messages):
            return
        views, self._views = list(self._views.values()), {}
        self._window, self._marked_key, self._pinned, self._wanted = Window(), None, None, None
        await self.remove_children(views)
        self.anchor()

    async def _draw(self, chat: Chat) -> None:
        start, end = self._moved_window(chat).span(self._keys)
        messages = chat.messages[start:end]
        for message in messages:
            view = self._views.get(message.key)
            if view and view.message is not message:
                await self._update(view, message)
        await self._mount(messages)
        self._show_mark(chat)
        self.call_after_refresh(self._settle)

    def _moved_window(self, chat: Chat) -> Window:
        """Return the window with what is read, which is not taken away because more was said, or what was marked."""
        keys = self._keys
        first = next((key for key in keys if key in self._views), None)
        if self._window.first is None and not self.is_at_bottom:
            self._window = replace(self._window, first=first)
        if chat.marked and chat.marked_key != self._marked_key:
            self._window, self._is_leaping = self._window.around(keys, chat.marked.key), True
        return self._window

    def _show_mark(self, chat: Chat) -> None:
        """Show which message is chosen; from then on the reader stays there, whatever comes below."""
        for key, view in self._views.items():
            if view.is_marked != (key == chat.marked_key):
                view.mark(key == chat.marked_key)
        if chat.marked and chat.marked_key != self._marked_key:
            self._wanted = self._views[chat.marked.key]
            self.release_anchor()
        self._marked_key = chat.marked_key if chat.marked else None

    async def _update(self, view: MessageView, message: Message) -> None:
        if message.is_settled or (self.is_at_bottom and view.is_rested):
            await view.show(message, self._state.speaker(message.persona))
        else:
            self._is_stale = True  # text is not drawn under a reader; it catches up at the bottom

    async def _mount(self, messages: tuple[Message, ...]) -> None:
        """Have these messages mounted and no others, without moving what is read."""
        views = {m.key: MessageView(m, self._state.speaker(m.persona)) for m in messages if m.key not in self._views}
        kept = (self._views[m.key] for m in messages if m.key in self._views)
        stays = next((view for view in kept if view.size.height), None)
        leaps, self._is_leaping = self._is_leaping, False  # what is asked for from here on is for the next drawing
        if leaps:
            self._pinned = None
        elif views and stays and not self.is_at_bottom:
            y = stays.virtual_region.y
            self._pinned = _Pinned(stays, y, y - self.scroll_y)
        await self._drop_all_but({message.key for message in messages})
        for run, following in self._runs(messages, views):
            await self.mount_all(run, before=following)
        self._views |= views

    def _runs(
        self, messages: tuple[Message, ...], new: dict[str, MessageView]
    ) -> Iterator[tuple[list[MessageView], MessageView | None]]:
        """Yield new neighbours together with the view that they stand before; None is the end."""
        run: list[MessageView] = []
        for message in messages:
            if message.key in new:
                run.append(new[message.key])
            elif run:
                yield run, self._views[message.key]
                run = []
        if run:
            yield run, None

    def _settle(self) -> bool:
        """Once all is laid out, bring what was marked into sight, or what is read back to its place; tell whether."""
        if not all(view.size.height for view in self._views.values()):
            return False
        if self._wanted and self._wanted.is_attached:
            self._wanted.scroll_visible(animate=False, immediate=True)
        elif self._pinned and self._pinned.view.is_attached:
            y = self._pinned.view.virtual_region.y
            if y != self._pinned.y_before:
                self.scroll_to(y=y - self._pinned.line, animate=False, immediate=True)
        self._wanted = self._pinned = None
        return True

    async def _drop_all_but(self, keys: set[str]) -> None:
        gone = [key for key in self._views if key not in keys]
        if gone:
            await self.remove_children([self._views.pop(key) for key in gone])

    def _watch_edges(self) -> None:
        """Tell of text below, and move the window, or ask for what is older, where the reader comes to its end."""
        chat = self._state.chat
        if not self._settle():
            return
        self._window = self._window.opened(self._keys)
        has_more_below = not self.is_at_bottom
        if has_more_below != self._had_more_below:
            self._had_more_below = has_more_below
            self.post_message(self.ReadingPlace(has_more_below))
        if chat and self.scroll_y <= 0 and self.max_scroll_y > 0:
            self._reach_up(chat)
            return
        self._asked_for = None
        if not has_more_below:
            self._move(Window())
        elif self._is_at_edge:
            self.release_anchor()
            self._move(self._window.later(self._keys))

    def _reach_up(self, chat: Chat) -> None:
        if self._window.span(self._keys)[0] > 0:
            self._move(self._window.earlier(self._keys))
        elif chat.oldest_item and chat.oldest_item != self._asked_for:
            self._asked_for = chat.oldest_item
            self.post_message(self.OlderWanted())

    def _move(self, window: Window) -> None:
        if window != self._window:
            self._window, self._is_stale = window, True
