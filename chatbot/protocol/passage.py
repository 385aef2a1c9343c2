"""The part of a text in which words were found, short enough for a line of a list. Pure."""

from collections.abc import Iterable

BEFORE_CHARS = 30
"""Text that stands before the first word that was found."""
PASSAGE_CHARS = 120


def passage(text: str, words: Iterable[str]) -> str:
    """Return the part of a text that begins a little before the first of some words, on one line.

    >>> passage("I was away for long, and then\\n  my sister came to see me.", ["sister"])
    '…was away for long, and then my sister came to see me.'
    """
    line = " ".join(text.split())
    lower = line.lower()
    first = min((place for word in words if (place := lower.find(word.lower())) >= 0), default=0)
    start = line.find(" ", first - BEFORE_CHARS, first) + 1 if first > BEFORE_CHARS else 0
    part = line[start : start + PASSAGE_CHARS]
    return ("…" if start else "") + part + ("…" if start + len(part) < len(line) else "")
