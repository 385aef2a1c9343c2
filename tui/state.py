"""What the screen shows, as plain values: chats, their messages, who answers, how the connection is.

Everything in here has passed `safe_text`. Values never change; `tui.transitions` and `tui.replies` make new ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import dropwhile
from typing import Literal

from chatbot.client import ConnectionState

MessageStatus = Literal[
    "sending", "unsent", "queued", "streaming", "completed", "stopped", "interrupted", "cut", "failed"
]
Role = Literal["user", "assistant", "note"]

DRAFT = "draft_"
"""What the id of a chat begins with that the server has not made yet; the key of its first message follows."""

SETTLED: frozenset[MessageStatus] = frozenset({"completed", "stopped", "interrupted", "cut", "failed", "unsent"})


def named(persona: str | None) -> str:
    """Return the name that stands before what a persona says."""
    return persona[:1].upper() + persona[1:] if persona else "Assistant"


@dataclass(frozen=True, slots=True)
class Versions:
    """What was said in the place of a message that was changed or asked again, and which of it the message is."""

    items: tuple[str, ...]
    """Ids of all of them, oldest first."""
    place: int

    def beside(self, step: int) -> str | None:
        """Id of the one that comes so many after this one, or before it; None where there is none."""
        place = self.place + step
        return self.items[place] if 0 <= place < len(self.items) else None


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a transcript; a note is a line of ours that no server knows."""

    key: str
    """Identity for as long as the program runs: an item's id, or the key it was sent with."""
    role: Role
    text: str
    status: MessageStatus = "completed"
    persona: str | None = None
    response_id: str | None = None
    remark: str = ""
    """Why it failed or was refused, in the server's words, or what it waits for."""
    item: str | None = None
    """Its id at the server; None until that is known here."""
    versions: Versions | None = None
    """None where nothing else was said in its place, as far as is known here."""
    replaces: str | None = None
    """Key of the message whose place it takes once the server has it."""

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED

    @property
    def place(self) -> str | None:
        """Key of the message whose place it has or is to take; None for a new one that was never sent."""
        return self.replaces if self.status == "unsent" else self.key


@dataclass(frozen=True, slots=True)
class ContextUse:
    """How full the model's context was at the last turn, by the server's own count."""

    tokens: int
    budget_tokens: int
    dropped: int
    """Older messages that are not in the model's window."""
    recalled: int = 0
    """Those of them that the newest message recalled."""

    @property
    def share(self) -> float:
        return min(1.0, self.tokens / self.budget_tokens) if self.budget_tokens else 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Speed of the newest reply, measured from its first piece of text."""

    started_at: float
    tokens: int
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation as far as it is known here."""

    id: str
    title: str = ""
    persona: str | None = None
    wanted_persona: str | None = None
    """Who was chosen here, until the server has taken or refused that."""
    messages: tuple[Message, ...] = ()
    is_loaded: bool = False
    oldest_item: str | None = None
    """Item before which more history exists; None when all of it is here."""
    is_unseen: bool = False
    change: int = 0
    """Number of the last change that is known here; the list goes by it."""
    is_draft: bool = False
    """True until the server has made the conversation."""
    blank_sheet: str | None = None
    """The blank page that it was begun on, if it was."""
    context: ContextUse | None = None
    pace: Pace | None = None
    marked_key: str | None = None
    """Key of the message that the user has chosen, which commands then mean instead of the newest."""

    @property
    def sheet(self) -> str:
        """What its half-typed message is kept under; unlike the id, it is the same once the server has made it."""
        return self.blank_sheet or self.id

    @property
    def is_sending(self) -> bool:
        """Whether something in it has not been acknowledged, and so has no name at the server yet."""
        return any(message.status == "sending" for message in self.messages)

    @property
    def marked(self) -> Message | None:
        """The message that the user has chosen, while it is there."""
        return next((message for message in self.messages if message.key == self.marked_key), None)

    @property
    def question(self) -> Message | None:
        """The newest message of the user; once one is marked, that or what it answers."""
        end = self.messages.index(self.marked) + 1 if self.marked else len(self.messages)
        return next((message for message in reversed(self.messages[:end]) if message.role == "user"), None)

    @property
    def answer(self) -> Message | None:
        """The newest message that has something to copy: a reply, or whatever is marked."""
        return self.marked or next((m for m in reversed(self.messages) if m.role == "assistant" and m.text), None)

    def with_versions(self, key: str | None) -> Message | None:
        """The message with this key that has other versions; without one the marked, or else the newest, that has."""
        versioned = [message for message in reversed(self.messages) if message.versions]
        key = key or (self.marked_key if self.marked in versioned else None)
        return next((message for message in versioned if key in (None, message.key)), None)

    @property
    def open_reply(self) -> Message | None:
        """The reply that is being written, or else the first that waits."""
        replies = self.open_replies
        return next((m for m in replies if m.status == "streaming"), replies[0] if replies else None)

    @property
    def open_replies(self) -> list[Message]:
        """The replies that are being written or wait."""
        return [m for m in self.messages if m.role == "assistant" and not m.is_settled]

    def open_after(self, key: str | None) -> list[Message]:
        """Those of them that come after the message with this key."""
        later = [*dropwhile(lambda message: message.key != key, self.messages)]
        return [reply for reply in self.open_replies if reply in later]


@dataclass(frozen=True, slots=True)
class Model:
    """Somebody who can answer."""

    id: str
    is_persona: bool
    description: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The whole of it."""

    chats: tuple[Chat, ...] = ()
    """Newest first."""
    current: str | None = None
    """Id of the open chat; None is the blank page of a new one."""
    models: tuple[Model, ...] = ()
    connection: ConnectionState = "connecting"
    ended_by: str = ""
    """Why the server is not tried any more, once the connection has ended."""
    was_live: bool = False
    """Whether the server was reached at least once."""
    new_persona: str | None = None
    """Who will answer in the next new chat."""
    new_title: str = ""
    """Title of the next new chat, if it was asked for by name."""
    notice: str = ""
    """Something to tell where no chat is open; the next step clears it."""
    has_more_chats: bool = False
    is_loaded: bool = False
    blank_sheet: str = "blank"
    """What the half-typed message on the blank page is kept under; a chat that is begun there takes it over."""

    @property
    def chat(self) -> Chat | None:
        return self.find(self.current)

    @property
    def sheet(self) -> str:
        """What the editor's text belongs to."""
        return self.chat.sheet if self.chat else self.blank_sheet

    def has_sheet(self, sheet: str) -> bool:
        return sheet == self.blank_sheet or self.on_sheet(sheet) is not None

    def on_sheet(self, sheet: str) -> Chat | None:
        """The chat that a sheet belongs to, also once the server has made it and it goes by another id."""
        return next((chat for chat in self.chats if chat.sheet == sheet), None)

    @property
    def persona(self) -> str | None:
        """Who answers in the open chat, or in the new one."""
        return self.chat.persona if self.chat else self.new_persona

    def find(self, chat_id: str | None) -> Chat | None:
        return next((chat for chat in self.chats if chat.id == chat_id), None)

    @property
    def unsent(self) -> frozenset[str]:
        """Keys of what the user said that has not reached the server."""
        said = (message for chat in self.chats for message in chat.messages if message.role == "user")
        return frozenset(message.key for message in said if message.status == "sending")

    def chat_of(self, *, key: str | None = None, response_id: str | None = None) -> Chat | None:
        """The chat that holds a message, wherever the user is."""
        for chat in self.chats:
            for message in chat.messages:
                if (key and message.key == key) or (response_id and message.response_id == response_id):
                    return chat
        return None

    def with_chat(self, chat_id: str | None, change: Callable[[Chat], Chat]) -> "State":
        """Return the state with one chat changed, if it is there."""
        return replace(self, chats=tuple(change(chat) if chat.id == chat_id else chat for chat in self.chats))

    def speaker(self, model: str | None) -> str:
        """The name that stands before a reply."""
        known = next((entry for entry in self.models if entry.id == model), None)
        return named(model if known is None or known.is_persona else None)
