"""Short ways to ask an engine for a whole reply."""

from dataclasses import dataclass

from chatbot.engine.base import ChatMessage, Delta, Engine, Finish, GenerationRequest, Sampling, Usage

GREEDY = Sampling(temperature=0, max_tokens=24)


@dataclass(frozen=True)
class Reply:
    text: str
    reason: str
    usage: Usage


def says(*texts: str) -> tuple[ChatMessage, ...]:
    """Return a chat in which user and assistant take turns, the user first."""
    return tuple(ChatMessage("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))


async def ask(
    engine: Engine,
    messages: tuple[ChatMessage, ...],
    *,
    session: str = "s",
    sampling: Sampling = GREEDY,
    adapter: str | None = None,
    is_stateless: bool = False,
) -> Reply:
    """Return the whole reply to these messages."""
    text = ""
    request = GenerationRequest(session, messages, sampling, adapter, is_stateless=is_stateless)
    async for event in engine.generate(request):
        if isinstance(event, Finish):
            return Reply(text, event.reason, event.usage)
        assert isinstance(event, Delta)
        assert event.text
        text += event.text
    raise AssertionError("the engine ended a reply without Finish")
