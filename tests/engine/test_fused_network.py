"""The fused network computes what transformers computes, or is not used."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from chatbot.engine import fused_network
from chatbot.engine.adapter_files import LoraAdapter, read_adapter
from chatbot.engine.attention import Chunk
from chatbot.engine.digest import model_digest
from chatbot.engine.fused_network import FusedNetwork
from chatbot.engine.grouped_attention import by_kernel, by_products
from chatbot.engine.hf_network import HFNetwork
from chatbot.engine.runner import Runner
from tests.examples import examples
from tests.tiny import make_tiny_adapter, make_tiny_model

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")


def runner(folder: Path, *, fuses: bool = True, context_tokens: int = 64) -> Runner:
    device = torch.device("cpu")
    return Runner(folder, slots=4, context_tokens=context_tokens, device=device, dtype=torch.float32, fuses=fuses)


def adapter(made: Runner, model: Path, folder: Path, seed: int) -> LoraAdapter:
    return read_adapter(
        make_tiny_adapter(model, folder, seed=seed),
        made.linears,
        base_digest=model_digest(model),
        dtype=torch.float32,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_are_those_of_transformers_in_chunks_and_at_decode(
    tmp_path: Path, architecture: str, dtype: torch.dtype
) -> None:
    extra: dict[str, Any] = {"sliding_window": None} if architecture == "mistral" else {}
    folder = make_tiny_model(tmp_path, architecture=architecture, dtype=dtype, varies=True, **extra)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    made = runner(folder)
    assert isinstance(made.network, FusedNetwork)
    prompts = [[5, 6, 7, 8, 9, 200, 33], [40, 41, 42], [100, 3, 100, 77, 8]]
    made.prefill([Chunk(i, 0, prompt[:1]) for i, prompt in enumerate(prompts)], None)
    got = made.prefill([Chunk(i, 1, prompt[1:-1]) for i, prompt in enumerate(prompts)], None)
    decoded = made.decode([Chunk(i, len(prompt) - 1, prompt[-1:]) for i, prompt in enumerate(prompts)], [None] * 3)
    for i, prompt in enumerate(prompts):
        with torch.no_grad():
            expected = model(torch.tensor([prompt])).logits[0]
        assert torch.allclose(got[i], expected[-2], atol=2e-3)
        assert torch.allclose(decoded[i], expected[-1], atol=2e-3)


@pytest.mark.parametrize("config", [{"attention_bias": True, "mlp_bias": True}, {"tie_word_embeddings": True}])
def test_biases_and_tied_heads_are_computed_too(tmp_path: Path, config: dict[str, Any]) -> None:
    assert isinstance(runner(make_tiny_model(tmp_path, varies=True, **config)).network, FusedNetwork)


def test_scaled_rotary_embeddings_are_those_of_the_model(tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 1e4,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    folder = make_tiny_model(tmp_path, rope_parameters=rope)
    fused, plain = runner(folder), runner(folder, fuses=False)
    assert isinstance(fused.network, FusedNetwork)
    assert torch.allclose(
        fused.prefill([Chunk(0, 0, list(range(60)))], None),
        plain.prefill([Chunk(0, 0, list(range(60)))], None),
        atol=2e-3,
    )


@pytest.mark.parametrize(
    ("architecture", "config"), [("mistral", {"sliding_window": 8}), ("llama", {"hidden_act": "gelu"})]
)
def test_what_it_does_not_know_runs_on_the_models_own_code(
    tmp_path: Path, architecture: str, config: dict[str, Any]
) -> None:
    assert isinstance(runner(make_tiny_model(tmp_path, architecture=architecture, **config)).network, HFNetwork)


def test_another_result_than_the_models_own_is_never_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_network, "_feed_forward", lambda layer, x: x.mul_(1.001))
    assert isinstance(runner(make_tiny_model(tmp_path)).network, HFNetwork)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_adapters_alone_and_mixed_give_what_they_give_on_the_models_own_code(tmp_path: Path, architecture: str) -> None:
    folder = make_tiny_model(tmp_path / "model", architecture=architecture)
    fused, plain = runner(folder), runner(folder, fuses=False)
    first, second = (adapter(fused, folder, tmp_path / str(seed), seed) for seed in (1, 2))
    prompt = [9, 8, 7, 6, 5]
    for made in (fused, plain):
        made.prefill([Chunk(0, 0, prompt)], first)
        made.prefill([Chunk(1, 0, prompt)], second)
        made.prefill([Chunk(2, 0, prompt)], None)
    for rows in ([first, second, None], [first, first, first], [None, None, None], [None, second, second]):
        chunks = [Chunk(slot, 5, [33]) for slot in range(3)]
        assert torch.allclose(fused.decode(chunks, rows), plain.decode(chunks, rows), atol=2e-3)


@pytest.mark.parametrize("fuses", [True, False])
def test_some_tokens_at_once_give_the_logits_of_one_after_the_other(tmp_path: Path, fuses: bool) -> None:
    folder = make_tiny_model(tmp_path / "model")
    made = runner(folder, fuses=fuses)
    adapters = [adapter(made, folder, tmp_path / str(seed), seed) for seed in (1, 2)] + [None]
    tokens = ([33], [34, 35, 36, 37], [38, 39])
    for slot, own in enumerate(adapters):
        made.prefill([Chunk(slot, 0, [9, 8, 7, 6, 5])], own)
    together = made.decode([Chunk(slot, 5, some) for slot, some in enumerate(tokens)], adapters)
    alone = [
        made.decode([Chunk(slot, 5 + i, [token])], [adapters[slot]])
        for slot, some in enumerate(tokens)
        for i, token in enumerate(some)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=2e-3)


@settings(max_examples=examples(15))
@given(cuts=st.lists(st.integers(1, 39), max_size=4, unique=True).map(sorted))
def test_any_cut_of_a_prompt_gives_the_same_next_token(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    made = _shared(tmp_path_factory)
    prompt = [(13 * i) % 250 for i in range(40)]
    whole = made.prefill([Chunk(0, 0, prompt)], None)
    bounds = [0, *cuts, 40]
    for start, end in zip(bounds, bounds[1:], strict=False):
        parts = made.prefill([Chunk(1, start, prompt[start:end])], None)
    assert torch.allclose(parts, whole, atol=2e-3)


_made: list[Runner] = []


def _shared(factory: pytest.TempPathFactory) -> Runner:
    """One runner for all examples: making one takes longer than using it."""
    if not _made:
        _made.append(runner(make_tiny_model(factory.mktemp("model"))))
    return _made[0]


def test_grouped_attention_is_one_thing_in_two_ways() -> None:
    torch.manual_seed(0)
    query, keys, values = torch.randn(6, 2, 8), torch.randn(6, 8, 5), torch.randn(6, 5, 8)
    mask = torch.zeros(3, 1, 1, 5).masked_fill_(torch.arange(5) >= torch.tensor([5, 3, 1])[:, None, None, None], -1e30)
    for each in (mask, None):
        one, other = (attend(query, keys, values, each, 0.35) for attend in (by_products, by_kernel))
        assert torch.allclose(one, other, atol=1e-5)
