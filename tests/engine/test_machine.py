"""Cores and memory are told on every platform."""

from pathlib import Path

import pytest
import torch

from chatbot.engine import machine
from chatbot.engine.cgroup import Cgroup


def test_there_is_at_least_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.cores() >= 1
    monkeypatch.delattr("os.sched_getaffinity")
    assert machine.cores() >= 1


def test_a_container_has_what_it_may_have(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in (("cpu.max", "50000 100000"), ("memory.max", "5000"), ("memory.current", "1000")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(Cgroup, "own", lambda: Cgroup(tmp_path, tmp_path))
    assert machine.cores() == 1
    assert machine.free_bytes(torch.device("cpu")) == 4000


def test_memory_is_told_with_and_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    assert machine.free_bytes(cpu) > 1 << 20
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "none")
    assert machine.free_bytes(cpu) > 1 << 20


def test_attention_that_is_planned_for_each_shape_is_avoided_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("torch.backends.cuda.enable_cudnn_sdp", asked.append)
    machine.avoid_planned_attention(torch.device("cpu"))
    assert asked == []
    machine.avoid_planned_attention(torch.device("cuda"))
    assert asked == [False]
