"""A run's progress, as plain lines where there is no terminal and as events that any JSON reader takes."""

import io
import json
from pathlib import Path

import pytest

from adapters.progress import Reporter, duration


def test_without_a_terminal_a_run_is_a_few_plain_lines() -> None:
    stream = io.StringIO()
    report = Reporter(stream)
    with report.training(100, done=0):
        for step in range(1, 101):
            report.step(step, 100, loss=2.0, lr=1e-3)
            if step == 50:
                report.validated(step, loss=1.5, is_best=True)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("step 1/100 · loss 2.000 · ")
    assert lines[-1].startswith("step 100/100 · loss 2.000 · val 1.500 · ")
    assert "\x1b" not in stream.getvalue()


def test_the_loss_that_is_shown_is_that_of_the_step() -> None:
    stream = io.StringIO()
    report = Reporter(stream)
    with report.training(2, done=0):
        report.step(1, 2, loss=9.0, lr=1e-3)
        report.step(2, 2, loss=0.5, lr=1e-3)
    assert "loss 0.500" in stream.getvalue().splitlines()[-1]


def test_a_duration_has_the_unit_that_fits_it() -> None:
    assert [duration(seconds) for seconds in (5, 89, 90, 5400, 260_000)] == ["5 s", "89 s", "2 min", "2 h", "3 days"]


def test_events_are_one_object_a_line_whatever_is_in_them(tmp_path: Path) -> None:
    report = Reporter(io.StringIO())
    report.event("before there is a file")
    report.record_to(tmp_path / "deep" / "events.jsonl")
    report.event("before", replies=["a\u2028b\nc\x85"])
    report.step(1, 2, loss=1.0, lr=0.1)
    events = [json.loads(line) for line in (tmp_path / "deep" / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["before", "step"]
    assert events[0]["replies"] == ["a\u2028b\nc\x85"]
    assert {"step", "steps", "loss", "lr", "eta_s", "time"} <= events[1].keys()


def test_what_is_said_is_not_taken_for_markup() -> None:
    stream = io.StringIO()
    Reporter(stream).say("[red]ahoy[/red]")
    assert stream.getvalue() == "[red]ahoy[/red]\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_many_are_done_and_then_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Reporter(stream).counting("tokenizing", 3) as count:
            count()
            count()
    assert "tokenizing" in terminal.getvalue()
    assert "2/3" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")
    assert file.getvalue() == ""


def test_what_is_measured_in_a_run_is_counted_beside_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    report = Reporter(terminal)
    with report.training(4, done=0):
        report.step(1, 4, loss=2.0, lr=1e-3)
        with report.counting("measuring", 3) as count:
            count()
        shown = len(terminal.getvalue())
        report.step(2, 4, loss=1.0, lr=1e-3)
    assert "measuring" in terminal.getvalue()
    assert "1/4" in terminal.getvalue()
    last = terminal.getvalue()[shown:].rpartition("training")[2]
    assert "2/4" in last
    assert "measuring" not in last
