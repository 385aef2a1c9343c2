"""A result says with which versions it was measured."""

from importlib.metadata import PackageNotFoundError

import pytest
import torch

from benchmarks import conditions


def test_llama_cpp_has_its_version_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "version", lambda package: f"{package} 1.2")
    assert conditions.conditions(1, torch.device("cpu"))["llama-cpp-python"] == "llama-cpp-python 1.2"


def test_what_is_not_installed_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "llama-cpp-python":
            raise PackageNotFoundError(package)
        return "1.2"

    monkeypatch.setattr(conditions, "version", version)
    told = conditions.conditions(1, torch.device("cpu"))
    assert (told["torch"], "llama-cpp-python" in told) == ("1.2", False)
