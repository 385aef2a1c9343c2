"""Cores and memory are told on every platform."""

from pathlib import Path

import pytest
import torch

from chatbot.engine import machine


def test_there_is_at_least_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.cores() >= 1
    monkeypatch.delattr("os.sched_getaffinity")
    assert machine.cores() >= 1


def test_memory_is_told_with_and_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    assert machine.free_bytes(cpu) > 1 << 20
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "none")
    assert machine.free_bytes(cpu) > 1 << 20
