"""What the model gets to see: the system prompt and the newest messages, whole, within a token budget.

Pure. The window moves in large steps: when the history outgrows the budget, its oldest exchanges are dropped until
it fills two thirds of it. Between steps the prompt only grows at its end, so the engine's KV stays valid
(trimming one turn per turn would make every turn a full prefill).
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from chatbot.conversation.recalled import Excerpt, with_excerpts
from chatbot.engine.base import ChatMessage
from storage.records import Item

CountTokens = Callable[[Sequence[ChatMessage]], int]
CountExchanges = Callable[[Sequence[Sequence[Item]]], int]

KEPT_SHARE = 2 / 3
"""How full the window is after a step."""


class ContextTooLong(Exception):
    """The system prompt and the newest message alone are over the budget."""

    def __init__(self, tokens: int, budget_tokens: int) -> None:
        super().__init__(
            f"the message needs {tokens} tokens with its system prompt, and {budget_tokens} fit; shorten it"
        )
        self.tokens = tokens
        self.budget_tokens = budget_tokens


@dataclass(frozen=True, slots=True)
class Context:
    """A prompt, and the record of what went into it."""

    messages: tuple[ChatMessage, ...]
    kept: tuple[str, ...]
    """Ids of the items that the model sees, oldest first."""
    dropped: tuple[str, ...]
    """Ids of older items that it does not see."""
    window_start: str
    """Id of the first item of the window; instructions may be older, they are always seen."""
    tokens: int
    budget_tokens: int

    def record(self) -> dict[str, Any]:
        """Return what is stored with the response, and sent as `chatbot:context`."""
        return {
            "window_start": self.window_start,
            "kept": list(self.kept),
            "dropped": len(self.dropped),
            "tokens": self.tokens,
            "budget_tokens": self.budget_tokens,
        }


def build_context(
    system: str,
    history: Sequence[Item],
    *,
    budget_tokens: int,
    count_tokens: CountTokens,
    window_start: str | None = None,
    recalled: Sequence[Excerpt] = (),
) -> Context:
    """Return the context for the newest item of the history, which must be the user's.

    `window_start` is where the previous turn's window began; this one begins there again while it fits. What the
    history holds of system messages is always seen: instructions do not wear off.
    `recalled` are excerpts of older messages, which go into the user's newest message. Raises ContextTooLong.
    """

    standing = [item for item in history if item.role == "system"]

    def tokens_of(shown: Sequence[Sequence[Item]]) -> int:
        return count_tokens(render(system, [*standing, *chain.from_iterable(shown)], recalled))

    exchanges = _exchanges([item for item in history if item.role != "system"])
    begin = _index_of(exchanges, window_start)
    if tokens_of(exchanges[begin:]) > budget_tokens:
        begin = _step(exchanges, begin, budget_tokens, tokens_of)
    dropped = [item.id for exchange in exchanges[:begin] for item in exchange]
    left_out = set(dropped)
    kept = [item for item in history if item.id not in left_out]
    messages = render(system, kept, recalled)
    return Context(
        messages=messages,
        kept=tuple(item.id for item in kept),
        dropped=tuple(dropped),
        window_start=exchanges[begin][0].id,
        tokens=count_tokens(messages),
        budget_tokens=budget_tokens,
    )


def window_start_of(record: Mapping[str, Any] | None) -> str | None:
    """Return where the window of a stored context record began."""
    return None if record is None else record.get("window_start")


def render(system: str, items: Sequence[Item], recalled: Sequence[Excerpt] = ()) -> tuple[ChatMessage, ...]:
    """Return the messages of a prompt: one system message first, then user and assistant in turn.

    What was recalled stands at the head of the last message.
    """
    system_texts = [system, *(item.text for item in items if item.role == "system")]
    messages = [ChatMessage("system", "\n".join(text for text in system_texts if text))]
    for item in items:
        if item.role == "system" or not item.text.strip():
            continue
        if messages[-1].role == item.role:
            # Two messages in a row of one speaker (a reply failed between them): many templates want turns.
            messages[-1] = ChatMessage(item.role, f"{messages[-1].text}\n{item.text}")
        else:
            messages.append(ChatMessage(item.role, item.text))
    messages[-1] = ChatMessage(messages[-1].role, with_excerpts(messages[-1].text, recalled))
    return tuple(message for message in messages if message.text)


def _step(exchanges: list[list[Item]], begin: int, budget_tokens: int, tokens_of: CountExchanges) -> int:
    """Return the first exchange to keep so that the window is two thirds full at most."""
    target = budget_tokens * KEPT_SHARE
    last = len(exchanges) - 1
    fits = range(begin, last)  # fewer exchanges are fewer tokens, so the first that fits is found by halves
    begin += bisect_left(fits, True, key=lambda first: tokens_of(exchanges[first:]) <= target)
    tokens = tokens_of(exchanges[begin:])
    if tokens > budget_tokens:
        raise ContextTooLong(tokens, budget_tokens)
    return begin


def _exchanges(history: Sequence[Item]) -> list[list[Item]]:
    """Group items so that each group begins with a message of the user (the first may not)."""
    groups: list[list[Item]] = []
    for item in history:
        if not groups or item.role == "user":
            groups.append([])
        groups[-1].append(item)
    return groups


def _index_of(exchanges: Sequence[Sequence[Item]], item_id: str | None) -> int:
    for index, exchange in enumerate(exchanges):
        if any(item.id == item_id for item in exchange):
            return index
    return 0
