"""What a container may have is the least that its group and all above it allow."""

import math
import os
from pathlib import Path

import pytest

from chatbot.engine import cgroup
from chatbot.engine.cgroup import Cgroup

GIB = 1 << 30


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text)


def test_without_limits_there_is_no_limit(tmp_path: Path) -> None:
    group(tmp_path / "a", cpu_max="max 100000\n", memory_max="max\n", memory_current="1\n")
    found = Cgroup(tmp_path / "a", tmp_path)
    assert found.cores() == math.inf
    assert found.free_bytes() == math.inf


def test_the_tightest_limit_counts(tmp_path: Path) -> None:
    group(tmp_path / "a", cpu_max="150000 100000\n", memory_max=f"{4 * GIB}\n", memory_current=f"{3 * GIB}\n")
    group(tmp_path / "a" / "b", cpu_max="max 100000\n", memory_max=f"{8 * GIB}\n", memory_current=f"{GIB}\n")
    found = Cgroup(tmp_path / "a" / "b", tmp_path)
    assert found.cores() == 1.5
    assert found.free_bytes() == GIB


def test_cached_files_that_nobody_needs_count_as_free(tmp_path: Path) -> None:
    stat = f"anon 5\ninactive_file {GIB // 2}\nactive_file 7\n"
    group(tmp_path, memory_max=f"{2 * GIB}", memory_current=f"{2 * GIB}", memory_stat=stat)
    assert Cgroup(tmp_path, tmp_path).free_bytes() == GIB // 2


def test_more_than_allowed_leaves_nothing_and_not_less(tmp_path: Path) -> None:
    group(tmp_path, memory_max="100", memory_current="200")
    assert Cgroup(tmp_path, tmp_path).free_bytes() == 0


def test_the_own_group_is_the_one_of_version_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    for name in (b"one", "café".encode(), b"\xff"):
        (tmp_path / "membership").write_bytes(b"4:memory:/other\n0::/app/" + name + b"\n")
        assert Cgroup.own() == Cgroup(tmp_path / "app" / os.fsdecode(name), tmp_path)
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "none")
    assert Cgroup.own() == Cgroup(tmp_path, tmp_path)
