"""The benchmark's command measures both peers and prints JSON."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main


def test_a_small_run(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    arguments = ["--streams", "1,3", "--tokens", "4", "--rounds", "3", "--model", str(tiny), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    main()
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result == json.loads(out.read_text())
    assert [row["streams"] for row in result["streams"]] == [1, 3]
    assert all(row["tokens_per_s"][name]["median"] > 0 for row in result["streams"] for name in ("engine", "generate"))
    assert result["conditions"]["parameters"] > 0
    assert "engine tok/s" in printed.err
