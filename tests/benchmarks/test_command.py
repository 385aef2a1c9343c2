"""The benchmark's command measures every workload beside its peers, on a tiny model."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import WORKLOADS, main
from benchmarks.roofline import READ_BYTES
from tests.tiny import make_tiny_model


def test_every_workload_has_figures_and_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(READ_BYTES, "cpu", 2**20)
    model = make_tiny_model(tmp_path / "tiny", context_tokens=2048)
    out, page, charts = tmp_path / "new" / "result.json", tmp_path / "pages" / "result.md", tmp_path / "new" / "charts"
    sizes = ["--tokens", "4", "--rounds", "3", "--threads", "1", "--model", str(model)]
    monkeypatch.setattr(
        sys, "argv", ["benchmarks", *sizes, "--out", str(out), "--markdown", str(page), "--charts", str(charts)]
    )

    main()

    result = json.loads(out.read_text("utf-8"))
    told = capsys.readouterr()
    assert json.loads(told.out) == result
    assert "left out" not in told.err
    assert result["conditions"]["read_gb_per_s"] > 0
    assert {"torch", "transformers", "peft"} < set(result["conditions"])
    (found,) = result["models"]
    assert [workload["workload"][:2] for workload in found["workloads"]] == list(WORKLOADS)
    for workload in found["workloads"]:
        assert workload["figures"]
        assert workload["gates"]
        assert all(figure["lowest"] <= figure["median"] <= figure["highest"] for figure in workload["figures"].values())
        assert all(gate["value"] > 0 for gate in workload["gates"])
    assert len(list(charts.glob("*.svg"))) == len(WORKLOADS)
    assert "| engine |" in page.read_text("utf-8")
    assert str(tmp_path) not in out.read_text("utf-8")
