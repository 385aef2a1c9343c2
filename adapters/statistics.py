"""Counts what a data set holds, and warns of what will show in the persona: few rows, one opening everywhere."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.counted import counted
from adapters.validate import ChatData, Row

FEW_ROWS = 20
COMMON_OPENING_SHARE = 0.4
WORD = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a data set; `as_dict` is what --json prints."""

    rows: int
    duplicates: int
    shapes: dict[str, int]
    user_turns: int
    assistant_turns: int
    multi_turn_rows: int
    assistant_characters: int
    distinct_words: int
    """Different words that the assistant uses."""
    distinct_systems: int
    rows_without_system: int
    openings: tuple[tuple[str, float], ...]
    """The commonest first words of replies, with their share."""
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def count(data: ChatData) -> Statistics:
    """Return the figures of a data set that has been validated."""
    replies = _texts(data.rows, "assistant")
    systems = {row.system for row in data.rows if row.system is not None}
    openings = Counter(words[0].lower() for reply in replies if (words := WORD.findall(reply)))
    shares = tuple((word, round(times / len(replies), 3)) for word, times in openings.most_common(5))
    return Statistics(
        rows=len(data.rows),
        duplicates=data.duplicates,
        shapes=dict(data.shapes),
        user_turns=len(_texts(data.rows, "user")),
        assistant_turns=len(replies),
        multi_turn_rows=sum(_turns(row) > 1 for row in data.rows),
        assistant_characters=sum(map(len, replies)),
        distinct_words=len({word.lower() for reply in replies for word in WORD.findall(reply)}),
        distinct_systems=len(systems),
        rows_without_system=sum(row.system is None for row in data.rows),
        openings=shares,
        warnings=tuple(_warnings(data, shares)),
    )


def uniform_system(rows: Sequence[Row]) -> str | None:
    """Return the system message that all rows carry, if they all carry the same."""
    systems = {row.system for row in rows}
    return systems.pop() if len(systems) == 1 else None


def _texts(rows: Sequence[Row], role: str) -> list[str]:
    return [message.text for row in rows for message in row.messages if message.role == role]


def _turns(row: Row) -> int:
    return sum(message.role == "assistant" for message in row.messages)


def _warnings(data: ChatData, openings: Sequence[tuple[str, float]]) -> list[str]:
    found = []
    if len(data.rows) < FEW_ROWS:
        found.append(
            f"only {counted(len(data.rows), 'row')}: the persona will repeat what is there (50 or more are better)"
        )
    if data.unfinished:
        found.append(
            f"{counted(data.unfinished, 'conversation')} of an export learned up to the first message without a "
            "finished reply, or not at all"
        )
    if openings and openings[0][1] > COMMON_OPENING_SHARE and len(data.rows) >= FEW_ROWS:
        word, share = openings[0]
        found.append(f'"{word}" begins {share:.0%} of the replies; the persona will begin nearly all of them so')
    return found
