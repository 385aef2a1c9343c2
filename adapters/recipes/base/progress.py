"""How far a run is: by steps (exactly repeatable) or by the clock (fits the time there is), and the rate for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LANGUAGE_PART = 0.15
_WARM_UP = 0.015
LATE = 0.6
_FLOOR = 0.02


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may take: a number of steps, or minutes of training time."""

    steps: int | None = None
    minutes: float | None = None
    begins_at: float = 0.0
    """The share a run begins with: more than 0 for one that goes on from a finished model."""

    def share(self, step: int, seconds: float) -> float:
        """How much of the budget is used, 0 to 1."""
        if self.steps is not None:
            used = step / self.steps
        elif self.minutes is not None:
            used = seconds / (60 * self.minutes)
        else:
            raise ValueError("a budget needs steps or minutes")
        return min(1.0, self.begins_at + (1 - self.begins_at) * used)


def stage_at(share: float) -> Literal["language", "chat"]:
    """The first part learns the language, the rest learns to chat."""
    return "language" if share < LANGUAGE_PART else "chat"


def is_late(share: float) -> bool:
    """Whether the run is in its last part, where long dialogues join."""
    return share >= LATE


def rate_factor(share: float) -> float:
    """Share of the peak learning rate: warm-up, level through the first 40 %, then straight down."""
    if share < _WARM_UP:
        return max(0.05, share / _WARM_UP)
    if share < 0.4:
        return 1.0
    return max(_FLOOR, 1 - (share - 0.4) / 0.6)
