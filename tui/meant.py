"""Which of several is meant by a name that somebody typed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST_QUOTE = 40


def called(name: str, things: Sequence[T], name_of: Callable[[T], str]) -> T | None:
    """Return the first that is called so, or else the first that is but for capitals; None where none is."""
    lower = name.lower()
    exact = (thing for thing in things if name_of(thing) == name)
    return next(exact, None) or next((thing for thing in things if name_of(thing).lower() == lower), None)


def partly_called(name: str, things: Sequence[T], name_of: Callable[[T], str]) -> T | None:
    """Return the first in whose name this is, whatever its capitals; None where it is in none."""
    return next((thing for thing in things if name.lower() in name_of(thing).lower()), None)


def brief(typed: str) -> str:
    """Return what was typed as it is repeated in an answer: as much as recalls it.

    >>> brief("Sea"), brief("all that was in the clipboard, pasted by mistake")
    ('Sea', 'all that was in the clipboard, pasted b…')
    """
    return typed if len(typed) <= LONGEST_QUOTE else f"{typed[: LONGEST_QUOTE - 1]}…"
