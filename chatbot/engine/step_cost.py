"""How much longer a decode step takes with drafts than without, learnt from the steps themselves.

Pure: seconds come in, a ratio goes out. For each number of rows, the time of a plain step is an exponentially weighted
mean, and the ratio is a line in the number of drafted tokens, fitted by exponentially weighted least squares. A line
begins at what a small model on one CPU core takes and goes back there slowly while nothing is measured, so that
drafting is tried again after a bad moment of the machine.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """Drafted tokens, ratio, and how much it counts."""

    x: float
    y: float
    weight: float


BEGINNING = (Point(1, 1.2, 1.0), Point(8, 1.6, 1.0))
"""What is believed before anything is measured."""
NEGLIGIBLE = 0.03
"""Weight below which a measurement is forgotten."""
RECENT = 0.1
"""Weight of a new plain step in the mean."""
FADE, FORGET = 0.9, 0.99
"""Weight of the past at a new measurement, and after a step that measured nothing."""
OUTLIER = 2.0
"""A step that takes longer than so many times what was expected counts as that many: somebody else had the core."""
FRESH_STEPS = 64
"""Steps after which the time of a plain step has to be measured again before there is another draft."""


@dataclass(slots=True)
class PlainTime:
    seconds: float
    step: int
    """When it was measured last."""


class StepCost:
    """Times of the decode steps of one engine."""

    def __init__(self) -> None:
        self._plain: dict[int, PlainTime] = {}
        self._lines: defaultdict[int, Line] = defaultdict(Line)
        self._step = 0

    def note(self, rows: int, drafted: int, seconds: float) -> None:
        """Take in how long a decode step of so many rows and drafted tokens took."""
        self._step += 1
        plain, line = self._plain.get(rows), self._line(rows)
        if plain is None:
            if not drafted:
                self._plain[rows] = PlainTime(seconds, self._step)
        elif drafted:
            line.learn(drafted, min(seconds / plain.seconds, OUTLIER * line.at(drafted)))
        else:
            line.forget()
            plain.seconds += RECENT * (min(seconds, OUTLIER * plain.seconds) - plain.seconds)
            plain.step = self._step

    def is_known(self, rows: int) -> bool:
        """Whether a plain step of so many rows was measured lately, so that steps with drafts can be judged."""
        plain = self._plain.get(rows)
        return plain is not None and self._step - plain.step < FRESH_STEPS

    def ratio(self, rows: int, drafted: int) -> float:
        """Return how many times a plain step's time a step with so many drafted tokens takes; at least 1."""
        return max(1.0, self._line(rows).at(drafted)) if drafted else 1.0

    def _line(self, rows: int) -> "Line":
        """Numbers of rows of like size share a line."""
        return self._lines[rows.bit_length()]


class Line:
    """A straight line through faded measurements and the two points it begins with, which do not fade."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._fading = 1.0
        """What the points' weights have still to be multiplied with: a plain step must cost next to nothing."""
        self._fitted = _fit(BEGINNING)

    def learn(self, x: float, y: float) -> None:
        """Take in a measurement."""
        self._fading *= FADE
        self._settle()
        self._points.append(Point(x, y, 1.0))
        self._fitted = _fit([*BEGINNING, *self._points])

    def forget(self) -> None:
        """Let the measurements fade and the beginning come through."""
        if self._points:
            self._fading *= FORGET

    def at(self, x: float) -> float:
        if self._fading < 1:
            self._settle()
            self._fitted = _fit([*BEGINNING, *self._points])
        offset, slope = self._fitted
        return offset + slope * x

    def _settle(self) -> None:
        faded = [Point(x, y, weight * self._fading) for x, y, weight in self._points]
        self._points = [point for point in faded if point.weight > NEGLIGIBLE]
        self._fading = 1.0


def _fit(points: Sequence[Point]) -> tuple[float, float]:
    """Return offset and slope, which is not negative, by weighted least squares."""
    weight = sum(point.weight for point in points)
    x = sum(point.weight * point.x for point in points) / weight
    y = sum(point.weight * point.y for point in points) / weight
    spread = sum(point.weight * (point.x - x) ** 2 for point in points)
    rise = sum(point.weight * (point.x - x) * (point.y - y) for point in points)
    slope = max(0.0, rise / spread)
    return y - slope * x, slope
