"""One and many conversations are measured beside those peers that this machine has."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.workloads.bench import Bench
from benchmarks.workloads.streams import one_stream
from tests.tiny import make_tiny_model


async def test_a_llama_cpp_that_cannot_be_used_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)  # importing it fails
    bench = Bench(
        make_tiny_model(tmp_path / "tiny"),
        tmp_path,
        torch.device("cpu"),
        threads=1,
        rounds=3,
        tokens=2,
        context_tokens=512,
        has_llama_cpp=True,
    )
    outcome = await one_stream(bench)
    assert list(outcome.figures) == [
        "engine",
        "engine, 1 adapter",
        "generate",
        "generate, bfloat16",
        "continuous batching",
    ]
    assert "left out: " in capsys.readouterr().err
