"""A question with the judge of its reply. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatbot.engine.base import ChatMessage, Role

Chat = tuple[ChatMessage, ...]
Judge = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Question:
    """Messages that end with the user's, and who says whether a reply is right."""

    chat: Chat
    is_right: Judge
    wanted: str
    """What a right reply has or does, for a person to read."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions of one kind. A name of the form `recall, 5 turns` belongs to the group `recall`."""

    name: str
    questions: tuple[Question, ...]

    @property
    def group(self) -> str:
        return group_of(self.name)


def group_of(name: str) -> str:
    """Return what stands before the first comma of a set's name."""
    return name.partition(",")[0]


def holds(wanted: Sequence[str]) -> Judge:
    """Return the judge that wants one of these texts, as whole words, in any case of letters."""
    patterns = [re.compile(rf"(?<!\w){re.escape(_plain(text))}(?!\w)") for text in wanted]
    return lambda reply: any(pattern.search(_plain(reply)) for pattern in patterns)


def as_chat(messages: Sequence[dict[str, str]]) -> Chat:
    """Return messages of the recipes as the engine takes them."""
    return tuple(ChatMessage(_role(message["role"]), message["content"]) for message in messages)


def under(chat: Chat, system: str | None, default: str) -> Chat:
    """Return a chat as it is sent with a persona's system message: it stands where the default one would."""
    if system is None or not chat or chat[0] != ChatMessage("system", default):
        return chat
    return (ChatMessage("system", system), *chat[1:])


def _role(role: str) -> Role:
    assert role in ("system", "user", "assistant")
    return role  # type: ignore[return-value]


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("\u2019", "'").split())
