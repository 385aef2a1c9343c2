"""The client and the state together: what the user does goes to the server, what the server says goes into the state.

Knows no widget. `on_change` is told after every step; it must be quick, and decides itself what to draw.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from chatbot.client import Client, ConnectionState, Event, JsonObject
from tui import transitions
from tui.background import Background
from tui.choice import Choice
from tui.export import export
from tui.history import History
from tui.listing import Listing
from tui.outbox import Outbox
from tui.shown import Shown
from tui.state import Chat, Message, State

TOO_FAR = "What was found is further back than was loaded; Page Up reads on towards it."
BESIDE = "What was found is in a version that is not shown; Alt+Left and Alt+Right turn the versions."


class Session:
    """One user at one server."""

    def __init__(
        self,
        url: str,
        *,
        ensure: Callable[[], Awaitable[str]] | None,
        api_key: str | None,
        on_change: Callable[[], None],
    ) -> None:
        self._shown = Shown(on_change)
        self.background = Background(self._shown)
        self.client = Client(
            url,
            api_key,
            ensure=ensure,
            patience_s=None,
            on_state=self._connection_changed,
            on_event=self._stray_event,
        )
        self.listing = Listing(self.client, self._shown)
        self.history = History(self.client, self._shown, self.background, self.listing.deleted_elsewhere)
        self._choice = Choice(self.client, self._shown)
        self._outbox = Outbox(
            self.client,
            self._shown,
            self.background,
            listing=self.listing,
            history=self.history,
            choice=self._choice,
        )
        self._wanted: str | None = None
        self._is_loaded = False
        self._has_chosen = False
        """Whether a chat was opened, the blank page included, so that the newest need not be."""

    @property
    def state(self) -> State:
        return self._shown.state

    def start(self, conversation: str | None = None) -> None:
        """Load the list and open the conversation of a title, or begin it if there is none: by default the newest."""
        self._wanted = conversation
        self._shown.set(replace(self.state, new_title=conversation or ""))
        self.background.spawn(self.client.watch())

    async def close(self) -> None:
        self.background.cancel()
        await self.client.close()

    def open(self, chat_id: str | None) -> None:
        """Show a chat, or the blank page of a new one."""
        self._shown.set(transitions.opened(self.state, chat_id))
        self._opened()

    def _opened(self) -> None:
        """Fetch what the open chat lacks."""
        self._has_chosen = True
        chat = self.state.chat
        if chat and not chat.is_loaded:
            self.background.spawn(self.history.load(chat.id))
        elif chat and not chat.is_draft and self.state.connection == "live":
            self.background.spawn(self.history.catch_up(chat.id))

    async def open_titled(self, title: str) -> bool:
        """Look a conversation up by its title, in the list or not, and show it; False if there is none."""
        body = await self.listing.titled(title)
        if body:
            self.open_found(body)
        return body is not None

    def open_found(self, body: JsonObject) -> None:
        """Show a conversation that the server found, in the list or not, and mark the message that has the words."""
        self.listing.add(body)
        self.open(body["id"])
        if found := body.get("found"):
            self.background.spawn(self._mark_found(body["id"], found["item_id"]))

    async def _mark_found(self, chat_id: str, item: str) -> None:
        has_it = await self.history.has(chat_id, item)
        key = await self.history.reach(chat_id, item) if has_it else None
        if self.state.current == chat_id:
            self._shown.set(transitions.marked_at(self.state, key))
            if key is None:
                self._shown.note(TOO_FAR if has_it else BESIDE)

    def submit(self, text: str) -> None:
        """Send a message in the open chat; it shows at once and goes out in order."""
        self._outbox.say(text)

    def retry(self, text: str | None = None) -> bool:
        """Have the newest or marked message answered anew, or `text` in its place; False if the server has none yet."""
        chat = self.state.chat
        question = chat.question if chat else None
        if chat is None or question is None or question.status == "sending":
            return False
        if question.status != "unsent" and chat.marked and question.item is None:
            return False  # the server has not named it yet, and would take its newest
        for reply in chat.open_after(question.place):
            self._cancel(reply)
        self._outbox.say_again(question, text)
        return True

    def mark(self, step: int) -> None:
        """Choose the message before (-1) or after (1) the one that is chosen, for what is done next."""
        self._shown.set(transitions.marked(self.state, step))

    def unmark(self) -> bool:
        """Choose no message any more; False if none was."""
        is_marked = self.state.chat is not None and self.state.chat.marked is not None
        self._shown.set(transitions.marked_at(self.state, None))
        return is_marked

    def show_version(self, step: int, key: str | None = None) -> bool:
        """Go on from an earlier (-1) or later (1) version of a message, by default of the marked or newest one.

        False if there is none.
        """
        chat = self.state.chat
        message = chat.with_versions(key) if chat else None
        item = message.versions.beside(step) if message and message.versions else None
        if chat is None or item is None:
            return False
        self.background.spawn(self._choose_version(chat.id, item))
        return True

    def stop(self) -> bool:
        """Stop the reply that is being written in the open chat; False if there is none."""
        reply = self.state.chat.open_reply if self.state.chat else None
        return reply is not None and self._cancel(reply)

    def _cancel(self, reply: Message) -> bool:
        """Have a reply stopped; False if the server has not named it yet."""
        if reply.response_id:
            self.background.spawn(self.client.cancel_response(reply.response_id))
        return reply.response_id is not None

    def rename(self, chat: Chat, title: str) -> None:
        self.background.spawn(self.listing.rename(chat.id, title), chat.sheet)

    def delete(self, chat: Chat) -> None:
        self.background.spawn(self._delete(chat), chat.sheet)

    async def export(self, chat: Chat, file: str) -> Path:
        """Write a chat as `tui.export` does; raises ServerUnreachable where no server answers now."""
        self._shown.need_server()
        return await export(self.client, chat.id, chat.title, self.state.speaker, file)

    def choose_persona(self, sheet: str, name: str) -> None:
        """Let somebody else answer from now on in the chat that a sheet belongs to, or in the next new one."""
        self._shown.set(transitions.persona_chosen(self.state, sheet, name))
        if chat := self.state.on_sheet(sheet):
            self.background.spawn(self._choice.tell(chat.id), sheet)

    def load_older(self) -> None:
        """Fetch the page of history before what the open chat shows."""
        chat = self.state.chat
        if chat:
            self.history.load_older(chat)

    def load_more_chats(self) -> None:
        self.background.spawn(self.listing.load_more())

    async def refresh_models(self) -> None:
        """Ask who can answer, for a persona may have been trained since; without a server keep what is known."""
        if self.state.connection == "live":
            await self.background.told(self._load_models())

    async def _load(self) -> None:
        """Load everything for the first time; a server that goes away in between is asked again by the next."""
        wanted = self._wanted
        await self._load_models()
        body = await self.client.conversation_titled(wanted) if wanted else None
        await self.listing.load()
        if body:
            self.listing.add(body)
        self._is_loaded = True
        newest = self.state.chats[0].id if self.state.chats and not wanted else None
        chosen = body["id"] if body else newest
        if chosen and self.state.current is None and not self._has_chosen:
            self._shown.set(transitions.begun_with(self.state, chosen))
            self._opened()

    async def _come_back(self) -> None:
        """After a pause the list, who can answer and the open chat may have moved on."""
        await self.listing.load()
        await self._load_models()
        chat = self.state.chat
        if chat and chat.is_loaded and not chat.is_draft:
            await self.history.catch_up(chat.id)

    async def _load_models(self) -> None:
        models = await self.client.models()
        self._shown.set(transitions.models_listed(self.state, models))

    async def _choose_version(self, chat_id: str, item: str) -> None:
        self._shown.need_server()
        await self.client.choose_version(chat_id, item)
        await self.history.catch_up(chat_id)

    async def _delete(self, chat: Chat) -> None:
        await self.listing.delete(chat.id, is_draft=chat.is_draft)
        self._opened()

    def _stray_event(self, event: Event) -> None:
        match event.get("type"):
            case "chatbot:conversations.watched":  # on every new socket, and when too much changed to be told
                self.background.spawn(self._come_back() if self._is_loaded else self._load())
            case "chatbot:conversation.updated":
                self._changed_elsewhere(event["conversation"], event.get("running_response_id"))
            case "chatbot:conversation.deleted":
                self.listing.deleted_elsewhere(event["conversation"]["id"])
            case "error":
                self._shown.note(str((event.get("error") or {}).get("message") or "the server reported an error"))

    def _changed_elsewhere(self, body: JsonObject, running: str | None) -> None:
        """Bring the list up to date, and the open chat; others catch up when they are opened."""
        if self.listing.is_gone(body["id"]):
            return
        self._shown.set(transitions.chat_changed(self.state, body, running))
        if body["id"] == self.state.current:
            self.background.spawn(self.history.catch_up(body["id"]))

    def _connection_changed(self, connection: ConnectionState) -> None:
        why = str(self.client.ended_by) if connection == "ended" else ""
        self._shown.set(transitions.connection_changed(self.state, connection, why))
