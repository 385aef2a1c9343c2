"""The sign of life that the engine's thread gives: when its current step began, and how many it has finished.

Written by that thread alone, read by any: each field is replaced as a whole.
"""

from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds from some fixed moment on."""


class Heartbeat:
    """One thread's steps in time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_at: float | None = None
        self.steps = 0
        """Steps that were finished."""

    def begin(self) -> None:
        """Say that a step begins now."""
        self._began_at = self._clock()

    def rest(self) -> None:
        """Say that the step is finished; waiting for work is no step."""
        self._began_at = None
        self.steps += 1

    def busy_s(self) -> float:
        """Return for how long the current step has been going on; 0 between steps."""
        began_at = self._began_at
        return 0.0 if began_at is None else self._clock() - began_at
