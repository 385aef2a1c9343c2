"""What is not given comes from the model and the machine."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from chatbot.engine.model_settings import ModelSettings, Options


def test_every_setting_but_the_model_can_be_passed_on() -> None:
    assert {field.name: field.type for field in fields(ModelSettings)} == {
        "model": str | Path
    } | Options.__annotations__


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (ModelSettings(Path("models/small")), "small"),
        (ModelSettings("owner/small"), "owner/small"),
        (ModelSettings("owner/small", name="mine"), "mine"),
    ],
)
def test_a_model_is_called_as_its_directory_or_on_the_hub(settings: ModelSettings, name: str) -> None:
    assert settings.shown_name == name


@pytest.mark.parametrize(("has_cuda", "device", "dtype"), [(True, "cuda", "bfloat16"), (False, "cpu", "float32")])
def test_cuda_is_taken_where_there_is_one_and_computes_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, device: str, dtype: str, *, has_cuda: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    chosen, named = ModelSettings("model"), ModelSettings("model", device=device, dtype=dtype)
    assert chosen.torch_device == named.torch_device == torch.device(device)
    assert chosen.torch_dtype == named.torch_dtype == getattr(torch, dtype)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (8, 7)])
def test_one_core_is_left_to_the_event_loop(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    monkeypatch.setattr("chatbot.engine.model_settings.cores", lambda: cores)
    assert ModelSettings("model").computing_threads == threads
    assert ModelSettings("model", threads=3).computing_threads == 3
