"""What a peer is asked, and the prompts as tokens for peers that know no chats."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from chatbot.engine.base import ChatMessage
from chatbot.engine.template import ChatTemplate

Chat = tuple[ChatMessage, ...]


class Peer(Protocol):
    name: str

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        """Generate `tokens` greedy tokens for every chat at once and return the seconds it took.

        For everybody the time begins with chats as messages: rendering prompts as tokens and reading them is in it.
        """

    async def close(self) -> None:
        """Free the model."""


class Prompts:
    """Renders chats with the model's own template."""

    def __init__(self, model: Path) -> None:
        self._template = ChatTemplate(model)

    def tokens(self, chats: Sequence[Chat]) -> list[list[int]]:
        """Return the prompt of each chat."""
        return [self._template.render(chat) for chat in chats]
