"""Tiny models and adapters shared by the engine's tests; torch stays on one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tiny import make_tiny_adapter, make_tiny_model


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def as_in_the_engines_thread() -> Iterator[None]:
    """What computes without the engine's thread, in which gradients are never asked for."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return make_tiny_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def pirate(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of rank 4 on all linears."""
    return make_tiny_adapter(tiny, tmp_path_factory.mktemp("adapters") / "pirate", seed=1)


@pytest.fixture(scope="session")
def poet(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of another rank on other linears, with rank-stabilised scaling."""
    folder = tmp_path_factory.mktemp("adapters") / "poet"
    targets = ["q_proj", "v_proj", "down_proj"]
    return make_tiny_adapter(tiny, folder, seed=2, rank=7, target_modules=targets, use_rslora=True)
