"""How much longer a decode step takes with drafts than without, learnt from the steps themselves.

Pure: seconds come in, a ratio goes out. For each number of rows, the time of a plain step is an exponentially weighted
mean, and the ratio is a line in the number of drafted tokens, fitted by exponentially weighted least squares. A line
begins at what a small model on one CPU core takes and goes back there slowly while nothing is measured, so that
drafting is tried again after a bad moment of the machine.
"""

from collections import defaultdict
from dataclasses import dataclass

BEGINNING = ((1, 1.2), (8, 1.6))
"""Drafted tokens and ratios that are believed before anything is measured."""
RECENT = 0.1
"""Weight of a new plain step in the mean."""
FADE, FORGET = 0.9, 0.992
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
    """A straight line through faded measurements and the two points it begins with, which do not fade.

    Of the measurements only sums are kept, so that a step costs next to nothing however many there were.
    """

    def __init__(self) -> None:
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)
        self._fitted: tuple[float, float] | None = None
        """Offset and slope, if they are known for the sums."""

    def learn(self, x: float, y: float) -> None:
        """Take in a measurement."""
        self._fade(FADE)
        self._sums = _added(self._sums, x, y)

    def forget(self) -> None:
        """Let the measurements fade and the beginning come through."""
        self._fade(FORGET)

    def at(self, x: float) -> float:
        if self._fitted is None:
            self._fitted = _fit(self._sums)
        offset, slope = self._fitted
        return offset + slope * x

    def _fade(self, by: float) -> None:
        count, x, y, xx, xy = self._sums
        self._sums = (by * count, by * x, by * y, by * xx, by * xy)
        self._fitted = None


Sums = tuple[float, float, float, float, float]
"""Of weights, x, y, x squared and x times y."""


def _added(sums: Sums, x: float, y: float) -> Sums:
    count, sum_x, sum_y, sum_xx, sum_xy = sums
    return (count + 1, sum_x + x, sum_y + y, sum_xx + x * x, sum_xy + x * y)


def _fit(sums: Sums) -> tuple[float, float]:
    """Return offset and slope, which is not negative, by weighted least squares, the beginning included."""
    for point in BEGINNING:
        sums = _added(sums, *point)
    count, x, y, xx, xy = sums
    slope = max(0.0, (count * xy - x * y) / (count * xx - x * x))
    return (y - slope * x) / count, slope
