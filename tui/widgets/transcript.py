"""The messages of the open chat. It follows the newest text, but never moves a reader who has scrolled up.

Cost stays flat: text is drawn at most 15 times a second, long text less often, and only a window of the newest
messages is mounted; it grows when the reader reaches its top.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from textual.containers import VerticalScroll
from textual.message import Message as Notice
from textual.widgets import Static

from tui.state import Chat, Message, State
from tui.widgets.message import MessageView

FLUSH_S = 1 / 15
WINDOW = 40
WINDOW_STEP = 20

EMPTY = """Say hello.

Type a message below and press Enter. Everything is kept: quit any time and it will be here tomorrow.

^T chooses who answers · /help shows what else there is"""


@dataclass(frozen=True, slots=True)
class _Pinned:
    """The message that was on top, where it was, and what was put above it."""

    view: MessageView
    y_before: int
    above: list[MessageView]


class Transcript(VerticalScroll):
    """Shows a chat; tell it of a new state with `show()`."""

    can_focus = False

    @dataclass
    class OlderWanted(Notice):
        """The reader has come to the top of what is here."""

    @dataclass
    class ReadingPlace(Notice):
        """Whether there is more below what the reader sees."""

        has_more_below: bool

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self._state = State()
        self._chat_id: str | None = None
        self._views: dict[str, MessageView] = {}
        self._window = WINDOW
        self._is_stale = True
        self._had_more_below = False
        self._pinned: _Pinned | None = None
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
        self.anchor()

    @property
    def is_at_bottom(self) -> bool:
        return self.max_scroll_y - max(0, self.scroll_y) < 2  # an anchored short page scrolls below zero

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
        self._window, self._pinned = WINDOW, None
        await self.remove_children(views)
        self.anchor()

    async def _draw(self, chat: Chat) -> None:
        if not self.is_at_bottom:  # what is read is not taken away because more was said below
            top = next((place for place, m in enumerate(chat.messages) if m.key in self._views), len(chat.messages))
            self._window = max(self._window, len(chat.messages) - top)
        if chat.marked:
            self._window = max(self._window, len(chat.messages) - chat.messages.index(chat.marked))
        messages = chat.messages[-self._window :]
        await self._drop_all_but({message.key for message in messages})
        new: list[tuple[Message, int]] = []
        for place, message in enumerate(messages):
            view = self._views.get(message.key)
            if view is None:
                new.append((message, place))
            elif view.message is not message:
                await self._update(view, message)
        if new:
            await self._mount_new(new, messages)
        self._show_mark(chat)

    def _show_mark(self, chat: Chat) -> None:
        """Show which message is chosen; from then on the reader stays there, whatever comes below."""
        for key, view in self._views.items():
            is_marked = key == chat.marked_key
            if is_marked != view.is_marked:
                view.mark(is_marked)
                if is_marked:
                    self.release_anchor()

    async def _update(self, view: MessageView, message: Message) -> None:
        if message.is_settled or (self.is_at_bottom and view.is_rested):
            await view.show(message, self._state.speaker(message.persona))
        else:
            self._is_stale = True  # text is not drawn under a reader; it catches up at the bottom

    async def _mount_new(self, new: list[tuple[Message, int]], messages: tuple[Message, ...]) -> None:
        """Mount messages where they belong; older ones go on top without moving what is read."""
        views = {message.key: MessageView(message, self._state.speaker(message.persona)) for message, _ in new}
        old_first = next((self._views[m.key] for m in messages if m.key in self._views), None)
        first_old_place = next((n for n, m in enumerate(messages) if m.key in self._views), len(messages))
        above = [views[message.key] for message, place in new if place < first_old_place]
        y_before = old_first.virtual_region.y if old_first else 0
        for run, following in self._runs(messages, views):
            await self.mount_all(run, before=following)
        self._views |= views
        if above and old_first is not None and not self.is_at_bottom:
            self._pinned = _Pinned(old_first, y_before, above)
            self.call_after_refresh(self._keep_place)

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

    def _keep_place(self) -> None:
        """Scroll by as much as was put on top, as soon as that has been laid out."""
        pinned = self._pinned
        if pinned and all(view.size.height for view in pinned.above):
            self._pinned = None
            grown = pinned.view.virtual_region.y - pinned.y_before
            self.scroll_to(y=max(0, self.scroll_y) + grown, animate=False, immediate=True)

    async def _drop_all_but(self, keys: set[str]) -> None:
        gone = [key for key in self._views if key not in keys]
        if gone:
            await self.remove_children([self._views.pop(key) for key in gone])

    def _watch_edges(self) -> None:
        """Tell of text below, and ask for what is older at the top."""
        self._keep_place()
        has_more_below = not self.is_at_bottom
        if has_more_below != self._had_more_below:
            self._had_more_below = has_more_below
            self.post_message(self.ReadingPlace(has_more_below))
        chat = self._state.chat
        if chat and self.scroll_y <= 0 and self.max_scroll_y > 0 and not self._pinned:
            if len(chat.messages) > self._window:
                self._window += WINDOW_STEP
                self._is_stale = True
            elif chat.oldest_item:
                self.post_message(self.OlderWanted())
        elif not has_more_below:
            self._window = WINDOW
