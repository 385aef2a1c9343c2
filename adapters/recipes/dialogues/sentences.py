"""The sentences of an answer, what the last one asks, and the fewest of them that hold what the whole answer tells."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BETWEEN = re.compile(r"(?<!\bMr\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bMrs\.)(?<=[.!?])\s+(?=[A-Z\"])")

_YES_OR_NO = re.compile(
    r"(?:(?:and|so|but|then) |[\w ]*, )?"
    r"(?:is|are|am|was|were|do|does|did|have|has|had|can|could|will|would|should|shall|may)(?:n't)? (?!.*\bor\b)",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """The sentences of a text with their marks; neither a title nor what is being quoted ends one."""
    found: list[str] = []
    for part in _BETWEEN.split(text.strip()) if text.strip() else []:
        if found and found[-1].count('"') % 2:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found


def asks_yes_or_no(text: str) -> bool:
    """Tell whether a text ends with a question that "yes" answers: not one of what, who or how, or of this or that."""
    last = sentences(text)[-1]
    return last.endswith("?") and _YES_OR_NO.match(last) is not None


def shortest(text: str, values: Iterable[str]) -> str:
    """The fewest sentences in a row that hold every one of the values that the text holds; mostly the first one."""
    told = [value for value in values if holds(text, value)]
    parts = sentences(text)
    runs = (" ".join(parts[at : at + size]) for size in range(1, len(parts)) for at in range(len(parts) - size + 1))
    return next((run for run in runs if all(holds(run, value) for value in told)), text)


def holds(text: str, value: str) -> bool:
    """Tell whether a text has a value, as words of their own, in capitals or not."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None
