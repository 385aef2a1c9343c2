"""What the model gets to see: the system prompt and the newest messages, whole, within a token budget.

Pure. The window moves in large steps: when the history outgrows the budget, its oldest exchanges are dropped, a third
of the budget at a time. Between steps the prompt only grows at its end, so the engine's KV stays valid (trimming one
turn per turn would make every turn a full prefill). Steps are counted from where the window began, or from the first
message: so a chat that nobody remembers begins its window in the same place each time it comes, until the next step.
What no window can reach back to is not even counted, or one very long chat would keep all others waiting.
Once something was dropped, a part of the budget is kept for what the newest message recalls of it.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain, islice
from typing import Any

from chatbot.conversation.recall import likely
from chatbot.conversation.recalled import excerpt, with_excerpts
from chatbot.conversation.said import Said
from chatbot.engine.base import ChatMessage
from storage.records import Item

CountTokens = Callable[[Sequence[ChatMessage]], int]
CountFrom = Callable[[int], int]

KEPT_SHARE = 2 / 3
"""How full the window is after a step from where it was just outgrown; the rest is what a step drops."""
RECALL_SHARE = 1 / 5
"""The most that recalled messages may take of the budget."""
REACH_CHARACTERS = 32
"""Characters for each token of the budget beyond which nothing older is counted; text has four or five to a token."""
MOST_TRIED = 20
"""How many of the messages that a newest one may be about are tried, whether they fit."""


class ContextTooLong(Exception):
    """The system prompt, the system messages and the newest message alone are over the budget."""

    def __init__(self, tokens: int, budget_tokens: int) -> None:
        super().__init__(
            f"the message needs {tokens} tokens with the system prompt and all system messages of the conversation,"
            f" but only {budget_tokens} fit: shorten the longest of them"
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
    """Ids of older items that are not in the window."""
    recalled: tuple[str, ...]
    """Ids of those of them that the newest message recalls, oldest first."""
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
            "recalled": list(self.recalled),
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
    recall_tokens: int = 0,
    said: Said | None = None,
) -> Context:
    """Return the context for the newest item of the history, which must be the user's.

    `window_start` is where the previous turn's window began; this one begins there again while it fits. What the
    history holds of system messages is always seen: instructions do not wear off. Of what is dropped, messages that the
    newest one may be about come back in it as excerpts, of `recall_tokens` and a fifth of the budget at most. They are
    looked up in `said`, which is brought up to date. Raises ContextTooLong.
    """
    standing = [item for item in history if item.role == "system"]
    exchanges = _exchanges([item for item in history if item.role != "system"])

    @cache
    def tokens_from(first: int) -> int:
        return count_tokens(render(system, [*standing, *chain.from_iterable(exchanges[first:])]))

    reserved = min(recall_tokens, int(budget_tokens * RECALL_SHARE))
    begin = max(_index_of(exchanges, window_start), _reach(exchanges, budget_tokens))
    if tokens_from(begin) > budget_tokens - (reserved if begin else 0):
        begin = _step(begin, len(exchanges) - 1, budget_tokens, reserved, tokens_from)
    dropped = list(chain.from_iterable(exchanges[:begin]))
    left_out = {item.id for item in dropped}
    kept = [item for item in history if item.id not in left_out]
    room = min(reserved, budget_tokens - tokens_from(begin))
    recalled = _recalled(history[-1], dropped, room, count_tokens, said)
    while recalled and count_tokens(render(system, kept, recalled)) > budget_tokens:
        del recalled[0]  # next to other text, the same text may take a token more
    messages = render(system, kept, recalled)
    return Context(
        messages=messages,
        kept=tuple(item.id for item in kept),
        dropped=tuple(item.id for item in dropped),
        recalled=tuple(item.id for item in recalled),
        window_start=exchanges[begin][0].id,
        tokens=count_tokens(messages),
        budget_tokens=budget_tokens,
    )


def _recalled(
    newest: Item, dropped: Sequence[Item], room_tokens: int, count_tokens: CountTokens, said: Said | None
) -> list[Item]:
    """What a message recalls of older ones, the likeliest that fit, in the order in which they were said."""

    def tokens_with(recalled: Sequence[Item]) -> int:
        return count_tokens(render("", [newest], recalled))

    found = list(islice(likely(newest.text, dropped, said), MOST_TRIED))
    alone = tokens_with(()) if found else 0
    chosen: list[Item] = []
    for item in found:
        more = sorted([*chosen, item], key=lambda each: each.position)
        if tokens_with(more) - alone <= room_tokens:
            chosen = more
    return chosen


def shown_items(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of all items that the model saw by a stored record: those of the window, and the recalled ones."""
    return (*record.get("kept", ()), *record.get("recalled", ()))


def window_start_of(record: Mapping[str, Any] | None) -> str | None:
    """Return where the window of a stored context record began."""
    return None if record is None else record.get("window_start")


def render(system: str, items: Sequence[Item], recalled: Sequence[Item] = ()) -> tuple[ChatMessage, ...]:
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
    messages[-1] = ChatMessage(
        messages[-1].role, with_excerpts(messages[-1].text, [excerpt(item, items[-1]) for item in recalled])
    )
    return tuple(message for message in messages if message.text)


def _step(begin: int, last: int, budget_tokens: int, reserved: int, tokens_from: CountFrom) -> int:
    """Return the first exchange to keep of a window that began at `begin` and was outgrown.

    Whole steps are dropped. How many is all that depends on the end of the chat, so a longer one is cut in the same
    place until it takes one more.
    """
    room = budget_tokens - reserved
    before = room if begin else budget_tokens  # as long as nothing was dropped, nothing is to be recalled
    step = max(1, room - round(room * KEPT_SHARE))  # whole: a trace too much would drop an exchange that just fits
    tokens = tokens_from(begin)
    kept = tokens - (before - room) - math.ceil((tokens - before) / step) * step
    fits = range(begin, last)  # fewer exchanges are fewer tokens, so the first that fits is found by halves
    first = begin + bisect_left(fits, True, key=lambda first: tokens_from(first) <= kept)
    if tokens_from(first) > budget_tokens:
        raise ContextTooLong(tokens_from(first), budget_tokens)
    return first


def _exchanges(history: Sequence[Item]) -> list[list[Item]]:
    """Group items so that each group begins with a message of the user (the first may not)."""
    groups: list[list[Item]] = []
    for item in history:
        if not groups or item.role == "user":
            groups.append([])
        groups[-1].append(item)
    return groups


def _reach(exchanges: Sequence[Sequence[Item]], budget_tokens: int) -> int:
    """Return the oldest exchange that a window may reach back to, found without counting a token.

    It moves in steps of half the reach, between which a chat that grows is cut in the same places.
    """
    ends = list(accumulate(sum(len(item.text) for item in exchange) for exchange in exchanges))
    step = REACH_CHARACTERS * budget_tokens // 2
    skipped = max(0, math.ceil(ends[-1] / step) - 2) * step
    return min(bisect_right(ends, skipped), len(exchanges) - 1) if skipped else 0


def _index_of(exchanges: Sequence[Sequence[Item]], item_id: str | None) -> int:
    for index, exchange in enumerate(exchanges):
        if any(item.id == item_id for item in exchange):
            return index
    return 0
