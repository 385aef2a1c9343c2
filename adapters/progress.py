"""Tells how a run goes: to a person on stderr, and to programs as one JSON object a line in events.jsonl."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

PLAIN_LINES = 10
"""Progress lines of a run when stderr is no terminal."""


class Reporter:
    """Where a run says what happens. Nothing of it goes to stdout."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._events: Path | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began_s = 0.0
        self._first_step = 0
        self._validation: float | None = None

    def say(self, text: str) -> None:
        """Print one line to the person."""
        self.console.print(text, markup=False)

    def record_to(self, file: Path) -> None:
        """Append events to this file from now on."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._events = file

    def event(self, kind: str, **facts: Any) -> None:
        """Write one event, complete on its line or not at all."""
        if self._events is not None:
            line = json.dumps({"event": kind, "time": round(time.time(), 3), **facts})
            with self._events.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    @contextmanager
    def counting(self, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """Give a function to call for each thing that is done; a terminal shows how many, while the block runs."""
        if not self.console.is_terminal:
            yield lambda: None
            return
        with self._bars(transient=True) as bar:
            task = bar.add_task(what, total=total, figures="")
            try:
                yield lambda: bar.advance(task)
            finally:
                if bar is self._bar:
                    bar.remove_task(task)

    @contextmanager
    def training(self, steps: int, *, done: int) -> Iterator[None]:
        """Show progress while the block runs: a bar on a terminal, else a few plain lines."""
        self._began_s, self._first_step = time.monotonic(), done
        if not self.console.is_terminal:
            yield
            return
        with self._bars(transient=False) as bar:
            self._bar, self._task = bar, bar.add_task("training", total=steps, completed=done, figures="")
            try:
                yield
            finally:
                self._bar = None

    @contextmanager
    def _bars(self, *, transient: bool) -> Iterator[Progress]:
        """Give the bars that are shown, for one more; else new ones, gone afterwards if they are transient."""
        if self._bar is not None:
            yield self._bar
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=self.console, transient=transient) as bar:
            yield bar

    def step(self, step: int, steps: int, *, loss: float, lr: float) -> None:
        """Say that an optimizer step is done."""
        self.event("step", step=step, steps=steps, loss=round(loss, 4), lr=lr, eta_s=round(self._eta_s(step, steps), 1))
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, figures=self._figures(loss))
        elif step in (1, steps) or step % max(1, steps // PLAIN_LINES) == 0:
            self.say(f"step {step}/{steps} · {self._figures(loss)} · {duration(self._eta_s(step, steps))} left")

    def validated(self, step: int, *, loss: float, is_best: bool) -> None:
        """Say what the held-out chats lose now."""
        self._validation = loss
        self.event("validation", step=step, loss=round(loss, 4), is_best=is_best)

    def _figures(self, loss: float) -> str:
        shown = f"loss {loss:.3f}"
        return shown if self._validation is None else f"{shown} · val {self._validation:.3f}"

    def _eta_s(self, step: int, steps: int) -> float:
        done = max(1, step - self._first_step)
        return (time.monotonic() - self._began_s) / done * (steps - step)


def duration(seconds: float) -> str:
    """Return a time in the unit that fits it."""
    for unit, length_s, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
