"""Decides who gets drafts in a decode step, and how long ones: only as many as make the step worth its time.

With drafts a row gets more than one token out of a step, and all rows wait longer for it. Drafts are given while the
product of all rows' speeds rises (proportional fairness, Kelly 1997), so one row that quotes does not slow down seven
that talk. Pure: chances and measured times in, lengths out.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

MOST_DRAFTED = 16
"""Longest draft of a row."""
WORTHWHILE = math.log(1.03)
"""Least gain in the mean logarithm of speed; below it the guess is not worth its own uncertainty."""
LONGEST_WAIT = 1.25
"""A row without a draft may wait for the others' drafts no more than this many times a plain step."""


class Prospect(NamedTuple):
    """A draft that a row could get."""

    length: int
    """At least 1."""
    chance: float
    """Probability that its next token is right, given that those before are."""


def share_drafts(prospects: Sequence[Prospect], rows: int, ratio: Callable[[int], float]) -> list[int]:
    """Return how much of each draft to verify in a step of `rows` rows, zeros if none is worth it.

    prospects: of the rows that have any.
    ratio: what a step with so many drafted tokens in all takes, in plain steps.
    """
    lengths, best = [0] * len(prospects), [0] * len(prospects)
    waiting = [(-_gain(prospect, 1), i) for i, prospect in enumerate(prospects)]
    heapq.heapify(waiting)
    gained, score, wait = 0.0, rows * WORTHWHILE, 1.0
    while waiting:
        gain, i = -waiting[0][0], waiting[0][1]
        total = sum(lengths) + 1
        longer = ratio(total)
        if total > 1 and gain <= rows * math.log(longer / wait):
            break
        lengths[i] += 1
        gained, wait = gained + gain, longer
        is_fair = wait <= LONGEST_WAIT or sum(map(bool, lengths)) == rows
        if is_fair and gained - rows * math.log(wait) > score:
            score, best = gained - rows * math.log(wait), list(lengths)
        _move_on(waiting, prospects[i], lengths[i], i)
    return best


def _move_on(waiting: list[tuple[float, int]], prospect: Prospect, length: int, i: int) -> None:
    """Put a draft's next token in the place of the one that was taken."""
    if length < min(prospect.length, MOST_DRAFTED):
        heapq.heapreplace(waiting, (-_gain(prospect, length + 1), i))
    else:
        heapq.heappop(waiting)


def _gain(prospect: Prospect, length: int) -> float:
    """Return how much the logarithm of a row's tokens per step rises by the last token of a draft so long."""
    return math.log(_tokens(prospect.chance, length) / _tokens(prospect.chance, length - 1))


def _tokens(chance: float, length: int) -> float:
    """Return how many tokens a step is expected to give with a draft so long, the drawn one included."""
    return length + 1.0 if chance >= 1 else (1 - chance ** (length + 1)) / (1 - chance)
