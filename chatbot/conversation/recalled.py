"""Recalled memory: older messages that stand at the head of the user's newest message. Pure.

They stand there and not in the system prompt so that everything before the newest message stays as it was, and with
it the engine's KV. The block is part of one prompt only; it is never stored, and the next prompt does without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatbot.conversation.day import day_of
from storage.records import Item

HEAD = "[earlier in this chat]"
FOOT = "[now]"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One message from before the window, or the passage of it that matters."""

    speaker: str
    """`user` or `assistant`."""
    day: str
    """When it was said, as people write it: "8 May", or "8 May 2019" where that is another year than now."""
    text: str


def excerpt(item: Item, newest: Item) -> Excerpt:
    """Return an item as the newest one recalls it: who said it and on which day, by this machine's time zone."""
    day = day_of(item.created_at)
    year = "" if day.year == day_of(newest.created_at).year else f" {day.year}"
    return Excerpt(item.role, f"{day.day} {day:%b}{year}", item.text)


def with_excerpts(message: str, excerpts: Sequence[Excerpt]) -> str:
    """Return the user's message with the excerpts before it, in the order given; unchanged where there are none."""
    if not excerpts:
        return message
    lines = [f"{excerpt.speaker}, {excerpt.day}: {' '.join(excerpt.text.split())}" for excerpt in excerpts]
    return "\n".join([HEAD, *lines, FOOT, message])
