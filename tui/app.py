"""The Textual app: lays the widgets out, keeps them in step with the state, and passes on what they tell."""

import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Input, Static

from chatbot.client import ChatbotError, ServerUnreachable
from tui.actions import WIDE_COLUMNS, CommandedApp
from tui.commands import COMMANDS, UnknownCommand, matching, message_of, parse
from tui.safe_text import safe_text
from tui.session import Session
from tui.typed import Typed
from tui.widgets.conversations import ConversationList
from tui.widgets.dialogs import AskLine, Confirm
from tui.widgets.editor import Editor, Sheet
from tui.widgets.headline import Headline
from tui.widgets.help import HelpScreen
from tui.widgets.persona_picker import PersonaPicker
from tui.widgets.status import StatusLine
from tui.widgets.transcript import Transcript

FRAME_S = 1 / 15
TALL_LINES = 20

UNREACHABLE = 3
"""Exit code when no server could be found or started."""

MARKED = "▸ /copy, /edit and /retry mean the marked message · Esc"

LOST = "The server does not answer. Trying again; you can go on typing, nothing is lost."
ENDED = "Not connected: {why} · The next message tries again."


class ChatApp(CommandedApp):
    """A chat client. It never blocks on the server: what is typed shows at once and goes out when it can."""

    CSS_PATH = "tui.tcss"
    TITLE = "chatbot"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE_COLUMNS, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL_LINES, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        url: str | None,
        *,
        ensure: Callable[[], Awaitable[str]] | None = None,
        api_key: str | None = None,
        conversation: str | None = None,
    ) -> None:
        super().__init__()
        self.session = Session(url or "", ensure=ensure, api_key=api_key, on_change=self._state_changed)
        self._wanted = conversation
        self._sheet = self.session.state.sheet
        self._sheets: dict[str, Sheet] = {}
        """What was being typed in the chats that are not open."""
        self._typed = Typed()
        self._is_refreshing = False
        self._drawn_at = 0.0
        self._early: list[events.Event] | None = []
        """What was typed before there was an editor, while Python was still loading; None once there is one."""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield ConversationList()
            with Vertical(id="main"):
                yield Static(id="title", markup=False)
                yield Static(LOST, id="banner", markup=False)
                yield Transcript()
                yield Static("↓ more below · ^End", id="more", markup=False)
                yield Static(id="hint", markup=False)
                yield Editor(self._submit)
                yield StatusLine()

    def on_mount(self) -> None:
        self.query_one(Editor).focus()
        self.session.start(self._wanted)
        self.run_worker(self._leave_without_server())
        self._refresh_view()
        self.call_after_refresh(self.call_later, self._take_early)

    async def on_event(self, event: events.Event) -> None:
        """Keep what nothing on the screen could take yet."""
        if self._early is not None and isinstance(event, (events.Key, events.Paste)):
            self._early.append(event)
        else:
            await super().on_event(event)

    async def _take_early(self) -> None:
        early, self._early = self._early or [], None
        for event in early:
            await super().on_event(event)  # posted, they would come after keys that wait in the queue

    async def _leave_without_server(self) -> None:
        """End the app, and say why, if no server can be had at all."""
        try:
            await self.session.client.connect()
        except ServerUnreachable as error:
            self.exit(UNREACHABLE, message=safe_text(str(error)))
        except ChatbotError:
            pass  # a refusal is told on the screen, by the session

    async def on_unmount(self) -> None:
        await self.session.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every command in the palette, then Textual's own."""
        for command in COMMANDS:
            yield SystemCommand(
                command.name.capitalize(), command.help, lambda name=command.name: self.action_command(name)
            )
        own = {"Quit", "Keys"}
        yield from (entry for entry in super().get_system_commands(screen) if entry.title not in own)

    def _state_changed(self) -> None:
        """Draw soon: at once after a pause, and at most so often while text streams."""
        self._turn_to_sheet()
        if self.is_running and not self._is_refreshing:
            self._is_refreshing = True
            wait_s = self._drawn_at + FRAME_S - time.monotonic()
            if wait_s > 0:
                self.set_timer(wait_s, self._refresh_view)
            else:
                self.call_later(self._refresh_view)

    def _refresh_view(self) -> None:
        self._is_refreshing, self._drawn_at = False, time.monotonic()
        if not self.query(StatusLine):
            return  # the screen is being taken down
        state = self.session.state
        self.query_one(ConversationList).show(state)
        self.query_one(Transcript).show(state)
        self.query_one(StatusLine).show(state)
        self._write_line("#title", state.chat.title if state.chat else state.new_title or "New conversation")
        self.query_one(Editor).border_subtitle = MARKED if state.chat and state.chat.marked else ""
        problems = {"lost": LOST, "ended": ENDED.format(why=state.ended_by)}
        notice = state.notice or problems.get(state.connection, "")
        self.query_one("#banner").display = bool(notice)
        self._write_line("#banner", notice)
        self._remember()

    def _write_line(self, name: str, text: str) -> None:
        """Have a line show a text; the same again would be laid out again."""
        line = self.query_one(name, Static)
        if text != line.content:
            line.update(text)

    def _remember(self) -> None:
        editor = self.query_one(Editor)
        if not editor.text:
            editor.remember(partial(self._typed.within, self.session.state))

    def _turn_to_sheet(self) -> None:
        """Keep what is being typed with its chat, at once: the next key belongs to what is open now."""
        state, left = self.session.state, self._sheet
        if state.sheet == left or not self.query(Editor):
            return
        editor, self._sheet = self.query_one(Editor), state.sheet
        if editor.text and state.chat is None and not state.has_sheet(left):
            return  # somebody deleted the chat under the user's hands
        written = editor.turn_to(self._sheets.pop(state.sheet, None))
        if state.has_sheet(left):
            self._sheets[left] = written

    def _submit(self, text: str) -> None:
        try:
            command = parse(text)
        except UnknownCommand as unknown:
            self.warn(str(unknown))
            self.query_one(Editor).replace_all(text)
            return
        if command:
            if not command[0].takes_lines:  # what /edit sends is a message of the chat
                self._typed.add(text)
            self.run_command(*command)
        else:
            self.session.submit(message_of(text))
            self._typed.add(text, self.session.state.sheet)
            self.query_one(Transcript).follow()
        self._remember()

    def on_editor_ended(self) -> None:
        self.ask_to_quit("Press ^D again to quit.")

    def on_text_area_changed(self) -> None:
        found = matching(self.query_one(Editor).text)
        hint = self.query_one("#hint", Static)
        hint.display = bool(found)
        hint.update("\n".join(f"{command.usage:<18} {command.help}" for command in found))

    def on_editor_scroll(self, event: Editor.Scroll) -> None:
        transcript = self.query_one(Transcript)
        if event.direction == 0:
            transcript.follow()
        elif transcript.max_scroll_y > 0:  # a short page would lose its hold of the end
            transcript.turn_page(event.direction)

    def on_transcript_reading_place(self, event: Transcript.ReadingPlace) -> None:
        self.query_one("#more").display = event.has_more_below

    def on_headline_version_wanted(self, event: Headline.VersionWanted) -> None:
        self.show_version(event.step, event.key)

    def on_transcript_older_wanted(self) -> None:
        self.session.load_older()

    def on_conversation_list_chosen(self, event: ConversationList.Chosen) -> None:
        self.session.open(event.chat_id)
        self.screen.remove_class("list-shown")
        self.query_one(Editor).focus()

    def on_conversation_list_more_wanted(self) -> None:
        self.session.load_more_chats()

    def on_conversation_list_delete_wanted(self, event: ConversationList.DeleteWanted) -> None:
        self._confirm_delete(event.chat_id)

    def on_key(self, event: events.Key) -> None:
        if event.is_printable and event.character:
            self._write(event.character)

    def on_paste(self, event: events.Paste) -> None:
        self._write(event.text)

    def _write(self, text: str) -> None:
        """Bring what is typed or pasted to the editor from where the focus is, unless that takes it itself."""
        is_taken = isinstance(self.focused, (Editor, Input))
        if not is_taken and not isinstance(self.screen, (AskLine, Confirm, HelpScreen, PersonaPicker)):
            editor = self.query_one(Editor)
            editor.focus()
            editor.insert(text)


def run(
    url: str | None,
    *,
    ensure: Callable[[], Awaitable[str]] | None = None,
    api_key: str | None = None,
    conversation: str | None = None,
) -> int:
    """Run the client until the user leaves; return the exit code.

    Without a url the screen opens at once, and `ensure` finds or starts a server behind it.
    """
    app = ChatApp(url, ensure=ensure, api_key=api_key, conversation=conversation)
    app.run()
    return app.return_value or app.return_code or 0
