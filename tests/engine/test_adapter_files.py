"""An adapter folder is data: what does not say plain LoRA for this base is refused by name."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from chatbot.engine.adapter_files import LoraAdapter, read_adapter
from chatbot.engine.base import AdapterRejected
from chatbot.engine.digest import adapter_folder_digest
from tests.tiny import make_tiny_adapter

LINEARS = {
    f"model.layers.{layer}.{name}": size
    for layer in range(2)
    for name, size in {
        "self_attn.q_proj": (32, 32),
        "self_attn.k_proj": (32, 16),
        "self_attn.v_proj": (32, 16),
        "self_attn.o_proj": (32, 32),
        "mlp.gate_proj": (32, 64),
        "mlp.up_proj": (32, 64),
        "mlp.down_proj": (64, 32),
    }.items()
}
BASE = "b" * 64


def _read(folder: Path) -> LoraAdapter:
    return read_adapter(folder, LINEARS, base_digest=BASE, dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture
def folder(pirate: Path, tmp_path: Path) -> Path:
    """A private copy of a good adapter, to be spoilt."""
    return copytree(pirate, tmp_path / "adapter")


def _configure(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _reweigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_a_peft_adapter_is_read(pirate: Path) -> None:
    adapter = _read(pirate)
    assert adapter.rank == 4
    assert adapter.pairs.keys() == LINEARS.keys()
    assert adapter.digest == adapter_folder_digest(pirate)
    raw = load_file(pirate / "adapter_model.safetensors")
    up = raw["base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"]
    assert torch.equal(adapter.pairs["model.layers.0.mlp.up_proj"].up, up * 2)


def test_rank_stabilised_scaling_is_alpha_over_the_root(poet: Path) -> None:
    raw = load_file(poet / "adapter_model.safetensors")
    up = raw["base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"]
    assert torch.allclose(_read(poet).pairs["model.layers.0.mlp.down_proj"].up, up * 14 / 7**0.5)


def test_other_files_in_the_folder_are_never_read(folder: Path) -> None:
    digest = _read(folder).digest
    (folder / "persona.toml").write_text("not toml at all [")
    (folder / "training.json").write_text("{")
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"evil": os.getcwd}))
    assert _read(folder).digest == digest


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"peft_type": "IA3"}, "peft_type = 'IA3'"),
        ({"use_dora": True}, "use_dora = True"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"lora_bias": True}, "lora_bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"task_type": "SEQ_CLS"}, "task_type"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"trust_remote_code": True}, "trust_remote_code"),
        ({"tokenizer_kwargs": {"trust_remote_code": True}}, "tokenizer_kwargs"),
        ({"r": 0}, "r = 0"),
        ({"r": True}, "r = True"),
        ({"r": 5}, "has shape"),
        ({"r": 10**9}, "r = 1000000000"),
        ({"lora_alpha": "8"}, "lora_alpha"),
        ({"lora_alpha": float("inf")}, "lora_alpha"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": -1}, "lora_alpha"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"target_modules": ""}, "target_modules"),
        ({"target_modules": []}, "target_modules"),
        ({"target_modules": [3]}, "target_modules"),
        ({"target_modules": ["q_proj"]}, "unexpected tensor"),
        ({"base_digest": "a" * 64}, "trained on base aaaaaaaaaaaa"),
    ],
)
def test_a_config_that_says_more_than_plain_lora_is_refused(
    folder: Path, changes: dict[str, Any], complaint: str
) -> None:
    _configure(folder, **changes)
    with pytest.raises(AdapterRejected, match=complaint):
        _read(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"task_type": None, "auto_mapping": {"base_model_class": "X", "parent_library": "none.of.that.name"}},
        {"layers_to_transform": [0, 1], "layers_pattern": "layers"},
        {"target_modules": r".*\.(q|k|v|o|gate|up|down)_proj"},
        {"target_modules": "(" * 1000},
    ],
)
def test_where_an_adapter_belongs_say_its_tensors(folder: Path, changes: dict[str, Any]) -> None:
    """What PEFT notes of it besides is neither imported nor run."""
    whole = _read(folder).pairs.keys()
    _configure(folder, **changes)
    assert _read(folder).pairs.keys() == whole


@pytest.mark.parametrize("changes", [{"modules_to_save": ["lm_head"]}, {"bias": "all"}, {"target_modules": ["q_proj"]}])
def test_what_can_be_merged_is_refused_with_how(folder: Path, changes: dict[str, Any]) -> None:
    _configure(folder, **changes)
    with pytest.raises(AdapterRejected, match=r"only plain LoRA .*PEFT's merge_and_unload.*serve that as --model"):
        _read(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_a_config_that_is_no_object_is_refused(folder: Path, text: str) -> None:
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(AdapterRejected, match=r"adapter_config\.json"):
        _read(folder)


NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def _rename(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = tensors.pop(NAME)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.update({NAME: torch.zeros(4, 31)}), "has shape"),
        (lambda t: t.update({NAME.replace("lora_A", "lora_B"): torch.full((32, 4), 3e38)}), "too large .* once scaled"),
        (lambda t: t.update({NAME: torch.full((4, 32), float("nan"))}), "not finite"),
        (lambda t: t.update({NAME: torch.zeros(4, 32, dtype=torch.int32)}), "int32"),
        (lambda t: t.pop(NAME), "counterpart"),
        (lambda t: t.clear(), "no LoRA tensors"),
        (lambda t: t.update({"base_model.model.lm_head.weight": torch.zeros(2)}), "unexpected tensor"),
        (lambda t: _rename(t, NAME.replace("layers.0", "layers.9")), "unexpected tensor|no linear"),
        (lambda t: _rename(t, NAME.replace("lora_A", "lora_magnitude_vector")), "unexpected tensor"),
        (lambda t: _rename(t, "__class__.lora_A.weight"), "unexpected tensor"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], complaint: str
) -> None:
    _reweigh(folder, change)
    with pytest.raises(AdapterRejected, match=complaint):
        _read(folder)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(AdapterRejected, match=file):
        _read(folder)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors", "base.json"])
def test_links_are_not_followed(folder: Path, file: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("{}")
    (folder / file).unlink(missing_ok=True)
    (folder / file).symlink_to(elsewhere)
    with pytest.raises(AdapterRejected, match="plain file"):
        _read(folder)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", pickle.dumps([1]), b"\xff" * 64])
def test_weights_in_another_format_are_refused(folder: Path, data: bytes) -> None:
    (folder / "adapter_model.safetensors").write_bytes(data)
    with pytest.raises(AdapterRejected, match="not a safetensors file"):
        _read(folder)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AdapterRejected, match="not a safetensors file"):
        _read(folder)


def test_an_adapter_of_this_base_passes_and_of_another_does_not(tiny: Path, tmp_path: Path) -> None:
    assert _read(make_tiny_adapter(tiny, tmp_path / "own", seed=5, base_digest=BASE)).rank == 4
    other = make_tiny_adapter(tiny, tmp_path / "other", seed=5, base_digest="a" * 64)
    with pytest.raises(AdapterRejected, match=r"base\.json: trained on base aaaaaaaaaaaa.*serves bbbbbbbbbbbb"):
        _read(other)


def test_any_changed_byte_changes_the_digest(folder: Path) -> None:
    before = adapter_folder_digest(folder)
    _configure(folder, lora_alpha=9)
    assert adapter_folder_digest(folder) != before
