"""How fast prompts are computed on this machine, measured while it serves.

The unit of work is one token at the beginning of a prompt. Later tokens cost more, since each attends to all before
it: at position `parity` attention costs as much as everything else, and a token there counts for two. Of a small model
on a CPU that is a thousand tokens, so leaving it out would mistake the time of a long prompt's end by a factor of five.
Pure.
"""

import math

WEIGHT = 0.3
"""Of the newest measurement in the average; a change of pace is followed within some five steps."""
FAR_OFF = 2.0
"""A measurement counts for at most so many times the average: a step during which the machine did something else."""


class PrefillRate:
    """Turns tokens of a prompt into work, and work into seconds."""

    def __init__(self, parity: float) -> None:
        """parity: the position at which attention costs as much as the rest of the model."""
        self._parity = parity
        self._unit_s: float | None = None

    def work(self, start: int, end: int) -> float:
        """Return the work of computing the tokens from position `start` to `end` (excluded)."""
        return (end - start) * (1 + (start + end) / 2 / self._parity)

    def tokens(self, start: int, work: float) -> int:
        """Return how many tokens from `start` on are done with this much work, rounded down."""
        slope = 1 + start / self._parity
        return int(2 * work / (slope + math.sqrt(slope * slope + 2 * work / self._parity)) + 1e-9)

    def note(self, work: float, seconds: float) -> None:
        """Learn from a measurement."""
        self._unit_s = smoothed(self._unit_s, seconds / work)

    def work_within(self, seconds: float) -> float | None:
        """Return how much work is done in this time; None before anything was measured."""
        return None if self._unit_s is None else seconds / self._unit_s


def smoothed(average: float | None, measured: float) -> float:
    """Return an exponentially weighted average with one more measurement in it."""
    if average is None:
        return measured
    return average + WEIGHT * (min(measured, FAR_OFF * average) - average)
