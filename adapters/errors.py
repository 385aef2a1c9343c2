"""Everything this package refuses, as one tree; the message says what is wrong, where, and what to do.

Errors::

    AdapterError
    ├── AdapterNotFound     no published adapter has this name or version
    ├── BadData             training data with problems, each with file and line
    ├── BadPersona          a name or persona.toml that cannot be used
    ├── CannotExport        a model or adapter that cannot be written in this form
    ├── CannotImport        files from elsewhere that hold no adapter the server would take
    ├── CannotLoad          a base that transformers does not know, or that is broken
    ├── CannotTrain         base, data and settings do not go together
    │   ├── BadSettings     a flag that does not go with base, data or a run that was stopped
    │   └── OutOfMemory     a run for which memory did not suffice; its checkpoints are kept
    └── TrainingInterrupted stopped on request; a checkpoint was written
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NUMBER = re.compile(r"\d+")


class AdapterError(Exception):
    """Base of everything this package raises on purpose."""


class AdapterNotFound(AdapterError):
    pass


class BadPersona(AdapterError):
    pass


class CannotExport(AdapterError):
    pass


class CannotImport(AdapterError):
    pass


class CannotLoad(AdapterError):
    pass


class CannotTrain(AdapterError):
    pass


class BadSettings(CannotTrain):
    pass


class OutOfMemory(CannotTrain):
    pass


class TrainingInterrupted(AdapterError):
    def __init__(self, step: int, steps: int) -> None:
        super().__init__(f"stopped after step {step} of {steps}; a checkpoint was written")
        self.step = step
        self.steps = steps


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the data, and where."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class BadData(AdapterError):
    """The data has problems; all of them are in `problems`, the first of each kind in the message."""

    MAX_ALIKE = 3
    MAX_KINDS = 20

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return the message line by line: of problems that differ in numbers only, the first few."""
        kinds: dict[tuple[Path, str], list[Problem]] = {}
        for problem in self.problems:
            kinds.setdefault((problem.file, NUMBER.sub("", problem.text)), []).append(problem)
        shown, left = list(kinds.values())[: self.MAX_KINDS], list(kinds.values())[self.MAX_KINDS :]
        lines = [line for alike in shown for line in self._lines_of(alike)]
        return [*lines, f"... and {sum(map(len, left))} more"] if left else lines

    def _lines_of(self, alike: Sequence[Problem]) -> list[str]:
        lines = [str(problem) for problem in alike[: self.MAX_ALIKE]]
        more = len(alike) - len(lines)
        return [*lines, f"{alike[0].file}: {more} more like this, the last in line {alike[-1].line}"] if more else lines
