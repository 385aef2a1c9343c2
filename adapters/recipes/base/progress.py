"""How far a run is: by steps (exactly repeatable) or by the clock (fits the time there is), and the rate for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LANGUAGE_PART = 0.15
_WARM_UP = 0.015
_LATE = 0.6
_FLOOR = 0.02


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may take: a number of steps, or minutes of training time."""

    steps: int | None = None
    minutes: float | None = None

    def share(self, step: int, seconds: float) -> float:
        """How much of the budget is used, 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        if self.minutes is not None:
            return min(1.0, seconds / (60 * self.minutes))
        raise ValueError("a budget needs steps or minutes")


def stage_at(share: float) -> Literal["language", "chat"]:
    """The first part learns the language, the rest learns to chat."""
    return "language" if share < LANGUAGE_PART else "chat"


def is_late(share: float) -> bool:
    """Whether the run is in its last part, where long dialogues join."""
    return share >= _LATE


def rate_factor(share: float) -> float:
    """Share of the peak learning rate: warm-up, level through the first 40 %, then straight down."""
    if share < _WARM_UP:
        return max(0.05, share / _WARM_UP)
    if share < 0.4:
        return 1.0
    return max(_FLOOR, 1 - (share - 0.4) / 0.6)
