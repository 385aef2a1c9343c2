"""The benchmark's options are checked before anything is measured."""

import sys
from pathlib import Path

import pytest

from benchmarks.options import read_options

WORKLOADS = ("W1", "W2")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--model no/such", "--model: 'no/such': expected the folder of a model, or one of random-90M"),
        ("--model random-8b", "--model: 'random-8b': expected the folder of a model, or one of random-90M"),
        ("--model {tmp}", "--model: {tmp}: config.json is missing"),
        ("--device mps", "--device: 'mps': expected cpu or cuda"),
        ("--device cuda:99", "--device: 'cuda:99' cannot be used here"),
        ("--workloads W9", "--workloads: invalid choice: 'W9'"),
        ("--tokens 1", "--tokens: 1: expected at least 2"),
        ("--tokens 9000", "--tokens: 9000: expected at most"),
        ("--rounds 2", "--rounds: 2: expected at least 3"),
        ("--threads 0", "--threads: 0: expected at least 1"),
        ("--out {tmp}", "--out: {tmp}: expected a file, found a folder"),
        ("--markdown {tmp}/taken/page.md", "--markdown: {tmp}/taken: cannot be made a folder"),
        ("--charts {tmp}/taken", "--charts: {tmp}/taken: cannot be made a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, told: str
) -> None:
    (tmp_path / "taken").touch()
    monkeypatch.setattr(sys, "argv", ["benchmarks", *given.format(tmp=tmp_path).split()])
    with pytest.raises(SystemExit):
        read_options(None, WORKLOADS)
    assert told.format(tmp=tmp_path) in capsys.readouterr().err


def test_folders_of_results_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, charts = tmp_path / "a" / "b" / "result.json", tmp_path / "c" / "charts"
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(out), "--charts", str(charts), "--device", "cpu"])
    options = read_options(None, WORKLOADS)
    assert (options.out, options.workloads) == (out, ["W1", "W2"])
    assert out.parent.is_dir()
    assert charts.is_dir()
