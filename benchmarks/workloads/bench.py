"""What every workload gets: the model, how long and how often to measure, and chats to measure with."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.peer import Chat, Peer
from chatbot.engine.base import ChatMessage
from chatbot.engine.local import LocalEngine

TOPICS = ("rain", "bread", "whales", "clocks", "bees", "snow", "trains", "salt")
FIRST_NUMBER = 100
"""Numbers of one length make prompts of nearly one length."""
PROMPT = "{number}: tell me something about {topic} that I did not know, and then ask me a question about it, please."
ROOM_TOKENS = 64
"""Tokens of such a prompt, at most."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One model under measurement."""

    model: Path
    scratch: Path
    device: torch.device
    threads: int
    rounds: int
    tokens: int
    """Tokens of a reply."""
    context_tokens: int
    has_llama_cpp: bool

    @asynccontextmanager
    async def engine(self, slots: int, **options: Any) -> AsyncIterator[LocalEngine]:
        """A started engine, by default one whose replies never end early; `options` go to LocalEngine.

        It does not draft: beyond its end a reply repeats itself, and drafts of that would flatter the engine.
        """
        settings: dict[str, Any] = {"ignore_end": True, "context_tokens": self.context_tokens, "threads": self.threads}
        settings |= {"speculative": False, "device": str(self.device)} | options
        engine = LocalEngine(self.model, slots=slots, **settings)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop()


def chats(count: int, number: int = 0) -> list[Chat]:
    """Return chats that differ early from each other and from those of other numbers: no prefix is worth sharing."""
    first = FIRST_NUMBER + number * count
    return [
        (ChatMessage("user", PROMPT.format(number=at, topic=TOPICS[at % len(TOPICS)])),)
        for at in range(first, first + count)
    ]


async def close(peers: Sequence[Peer]) -> None:
    """Free the models of all peers."""
    for peer in peers:
        await peer.close()
