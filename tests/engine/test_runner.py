"""The runner gives the model's own logits, or refuses the model."""

import json
from ctypes import CDLL
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma4TextConfig,
    GPT2Config,
    MambaConfig,
    PreTrainedConfig,
)
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextRMSNormGated

from chatbot.engine.attention import Chunk
from chatbot.engine.base import ModelNotFound
from chatbot.engine.compiled.library import load
from chatbot.engine.hf_network import HFNetwork
from chatbot.engine.kv import KVShape
from chatbot.engine.norms import replace_norms
from chatbot.engine.packed import PackedLinear, is_exact_in_16_bits, pack_linears
from chatbot.engine.runner import Runner
from tests.tiny import make_tiny_model, make_tiny_tokenizer


def _runner(folder: Path, slots: int = 4, *, fuses: bool = True, library: CDLL | None = None) -> Runner:
    device, dtype = torch.device("cpu"), torch.float32
    return Runner(folder, slots=slots, context_tokens=64, device=device, dtype=dtype, fuses=fuses, library=library)


def _model(folder: Path) -> Any:  # the transformers model inside
    network = _runner(folder, fuses=False).network
    assert isinstance(network, HFNetwork)
    return network.model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_equal_those_of_transformers(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = make_tiny_model(tmp_path, dtype=dtype)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompts = [[5, 6, 7, 8, 9], [40, 41], [100, 3, 100]]
    runner = _runner(folder)
    got = runner.prefill([Chunk(i, 0, prompt[:-1]) for i, prompt in enumerate(prompts)], None)
    decoded = runner.decode([Chunk(i, len(prompt) - 1, prompt[-1:]) for i, prompt in enumerate(prompts)], [None] * 3)
    for i, prompt in enumerate(prompts):
        with torch.no_grad():
            expected = model(torch.tensor([prompt])).logits[0]
        assert torch.allclose(got[i], expected[-2], atol=1e-3)
        assert torch.allclose(decoded[i], expected[-1], atol=1e-3)


@pytest.mark.parametrize("way", ["compiled", "fused", "its own code"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_chunks_that_want_logits_get_them(tmp_path: Path, way: str, dtype: torch.dtype) -> None:
    runner = _runner(
        make_tiny_model(tmp_path, dtype=dtype),
        fuses=way != "its own code",
        library=load() if way == "compiled" else None,
    )
    prompts = [Chunk(0, 0, [5, 6, 7]), Chunk(1, 0, [8, 9]), Chunk(2, 0, [10, 11, 12])]
    every = runner.prefill(prompts, None)
    for wanted in ([], [1], [0, 2]):
        chunks = [replace(prompt, wants_logits=i in wanted) for i, prompt in enumerate(prompts)]
        assert torch.allclose(runner.prefill(chunks, None), every[wanted], atol=1e-4)


def test_a_16_bit_checkpoint_is_packed_and_a_32_bit_one_is_not(tmp_path: Path, tiny: Path) -> None:
    assert isinstance(_model(make_tiny_model(tmp_path, dtype=torch.bfloat16)).lm_head, PackedLinear)
    assert isinstance(_model(tiny).lm_head, nn.Linear)


def test_packed_linears_compute_what_plain_ones_do() -> None:
    model = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 8, bias=False)).bfloat16().float()
    model.requires_grad_(False)
    x = torch.randn(3, 48)
    expected = model(x)
    originals = pack_linears(model)
    assert originals.keys() == {"0", "2"}
    assert torch.allclose(model(x), expected, atol=1e-5)


class Shifted(nn.Module):
    """A norm as Gemma has it: one is added to the weight."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), 0.5))
        self.variance_epsilon = 1e-6

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.rms_norm(x, x.shape[-1:], self.weight + 1, self.variance_epsilon)


def test_only_plain_norms_are_replaced() -> None:
    model = nn.Sequential(LlamaRMSNorm(16), Shifted(16)).requires_grad_(False)
    nn.init.normal_(model.get_parameter("0.weight"))
    x = torch.randn(2, 3, 16)
    expected = model(x)
    assert replace_norms(model).keys() == {"0"}
    assert torch.allclose(model(x), expected, atol=1e-5)


def test_norms_that_take_a_gate_are_left_alone() -> None:
    """As Qwen3.5, Qwen3-Next and OLMo-hybrid have them."""
    assert replace_norms(nn.Sequential(Qwen3NextRMSNormGated(16))) == {}


def test_a_model_that_fast_modules_would_change_keeps_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(model: nn.Module) -> dict[str, nn.Module]:
        original = model.get_submodule("model.norm")
        model.set_submodule("model.norm", nn.Identity())
        return {"model.norm": original}

    monkeypatch.setattr("chatbot.engine.hf_network.replace_norms", spoil)
    model = _model(make_tiny_model(tmp_path, dtype=torch.bfloat16))
    assert type(model.lm_head) is nn.Linear
    assert isinstance(model.model.norm, LlamaRMSNorm)


def test_exactness_is_about_bits() -> None:
    assert is_exact_in_16_bits(torch.tensor([1.0, -0.5, 1e-9]))
    assert not is_exact_in_16_bits(torch.tensor([0.1]))
    assert not is_exact_in_16_bits(torch.tensor([1e30]).bfloat16().float())
    assert not is_exact_in_16_bits(torch.tensor([1.0]).bfloat16())


def _save(config: PreTrainedConfig, folder: Path) -> Path:
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


def test_a_model_with_another_kind_of_attention_is_refused(tmp_path: Path) -> None:
    config = Gemma2Config(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    with pytest.raises(ModelNotFound, match="cannot run on KV slots: attention with softcap"):
        _runner(_save(config, tmp_path))


def test_absolute_positions_work_too(tmp_path: Path) -> None:
    folder = _save(GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4, n_positions=64), tmp_path)
    runner = _runner(folder)
    assert runner.kv.shape.kv_heads == 4


def test_broken_weights_are_told(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path)
    (folder / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelNotFound, match="cannot be loaded as a causal LM"):
        _runner(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised weights of this kind are not served"),
        ({"num_attention_heads": "4"}, "cannot be loaded as a causal LM.*num_attention_heads"),
        ({"num_attention_heads": 0}, "cannot be loaded as a causal LM"),
    ],
)
def test_a_config_that_makes_no_model_is_told(
    tiny: Path, tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    folder = copytree(tiny, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8")) | changes
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelNotFound, match=f"(?s){complaint}"):
        _runner(folder)


@pytest.mark.parametrize(("config", "why"), [(MambaConfig(), "num_attention_heads"), (Gemma4TextConfig(), "head_dim")])
def test_a_model_without_attention_of_one_size_is_told(config: PreTrainedConfig, why: str) -> None:
    with pytest.raises(ModelNotFound, match=rf"{config.model_type}: expected attention of one size .*{why}"):
        KVShape.of(config, slots=1, max_len=64)


def test_missing_weights_are_named_and_never_made_up(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelNotFound, match=r"1 weights are missing .* model\.layers\.1\.mlp\.up_proj\.weight"):
        _runner(folder)


def test_slots_are_as_many_as_memory_holds() -> None:
    shape = KVShape(layers=2, slots=8, kv_heads=2, max_len=100, head_dim=16)
    one = shape.bytes_per_slot(torch.float32)
    assert one == 2 * 2 * 2 * 100 * 16 * 4
    assert shape.fitted(torch.float32, 100 * one) is shape
    assert shape.fitted(torch.float32, 6 * one).slots == 3
    assert shape.fitted(torch.float32, 0).slots == 1


@pytest.mark.parametrize(("setting", "ids"), [(272, {272}), ([1, 2], {1, 2}), (None, set())])
def test_end_ids_come_from_the_generation_settings(tmp_path: Path, setting: Any, ids: set[int]) -> None:
    folder = make_tiny_model(tmp_path)
    settings = json.loads((folder / "generation_config.json").read_text("utf-8")) | {"eos_token_id": setting}
    (folder / "generation_config.json").write_text(json.dumps(settings), "utf-8")
    assert _runner(folder).end_ids == ids
