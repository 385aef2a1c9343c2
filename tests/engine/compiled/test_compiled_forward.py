"""The compiled forward gives the logits and the KV of the fused network's tensor calls, whatever the batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.engine import runner as runner_module
from chatbot.engine.adapter_files import LoraAdapter, LoraPair, read_adapter
from chatbot.engine.attention import Chunk
from chatbot.engine.compiled.compiled_forward import CALL_TOKENS, CompiledForward
from chatbot.engine.compiled.library import load
from chatbot.engine.digest import model_digest
from chatbot.engine.fused_network import FusedNetwork
from chatbot.engine.local import LocalEngine
from chatbot.engine.runner import Runner
from tests.engine.talk import ask, says
from tests.examples import examples
from tests.tiny import make_tiny_adapter, make_tiny_model

SLOTS, CONTEXT = 4, 160
CPU = torch.device("cpu")


@dataclass
class Pair:
    """One model twice: with and without compiled code."""

    compiled: Runner
    plain: Runner
    adapters: list[LoraAdapter | None]

    def prefill(self, chunks: list[Chunk], adapter: int = 0) -> bool:
        got, expected = (made.prefill(chunks, self.adapters[adapter]) for made in (self.compiled, self.plain))
        return torch.allclose(got, expected, atol=2e-3)

    def decode(self, chunks: list[Chunk], adapters: list[int]) -> bool:
        rows = [self.adapters[i] for i in adapters]
        got, expected = (made.decode(chunks, rows) for made in (self.compiled, self.plain))
        return torch.allclose(got, expected, atol=2e-3)

    def same_kv(self) -> bool:
        ours, theirs = self.compiled.kv, self.plain.kv
        return torch.allclose(ours.keys, theirs.keys, atol=1e-4) and torch.allclose(
            ours.values, theirs.values, atol=1e-4
        )


def make(folder: Path, **options: Any) -> Runner:
    return Runner(folder, slots=SLOTS, context_tokens=CONTEXT, device=CPU, dtype=torch.float32, **options)


def pair(tmp_path: Path, **model: Any) -> Pair:
    folder = make_tiny_model(tmp_path / "model", varies=True, **model)
    compiled, plain = make(folder, library=load()), make(folder)
    assert isinstance(compiled._shortcut, CompiledForward)
    for slot in (0, 1):  # what the probe at load left there
        plain.kv.wipe(slot, CONTEXT)
    options: tuple[dict[str, Any], ...] = ({}, {"rank": 7, "target_modules": ["q_proj", "up_proj", "o_proj"]})
    adapters = [
        read_adapter(
            make_tiny_adapter(folder, tmp_path / str(seed), seed=seed, **some),
            plain.linears,
            base_digest=model_digest(folder),
            dtype=torch.float32,
            device=CPU,
        )
        for seed, some in enumerate(options)
    ]
    return Pair(compiled, plain, [None, *adapters])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("pair"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3"])
def test_prompts_and_decode_steps_of_every_architecture(tmp_path: Path, architecture: str, dtype: torch.dtype) -> None:
    extra: dict[str, Any] = {"sliding_window": None} if architecture == "mistral" else {}
    made = pair(tmp_path, architecture=architecture, dtype=dtype, **extra)
    assert made.prefill([Chunk(1, 0, range(3, 40)), Chunk(0, 0, [5, 6, 7])])
    assert made.prefill([Chunk(1, 37, [50, 51])], adapter=1)
    assert made.decode([Chunk(0, 3, [8]), Chunk(1, 39, [9])], [0, 2])
    assert made.same_kv()


@pytest.mark.parametrize(
    "config",
    [
        {"attention_bias": True, "mlp_bias": True},
        {"tie_word_embeddings": True},
        {"num_attention_heads": 4, "num_key_value_heads": 4},
        {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 24},
        {"hidden_size": 40, "num_attention_heads": 20, "num_key_value_heads": 1, "head_dim": 8},
    ],
)
def test_biases_tied_heads_and_groups_of_any_size(tmp_path: Path, config: dict[str, Any]) -> None:
    made = pair(tmp_path, **config)
    assert made.prefill([Chunk(2, 0, range(60))])
    assert made.decode([Chunk(2, 60, [9, 8, 7])], [1])


def test_an_adapter_may_change_the_head(tmp_path: Path) -> None:
    made = pair(tmp_path)
    inputs, outputs = made.plain.linears["lm_head"]
    made.adapters.append(LoraAdapter("head", 3, {"lm_head": LoraPair(torch.randn(3, inputs), torch.randn(outputs, 3))}))
    for tokens in ([7], [7] * (CALL_TOKENS + 1)):
        assert made.prefill([Chunk(0, 0, tokens)], adapter=3)
    assert made.decode([Chunk(0, 70, [7]), Chunk(1, 0, [8])], [3, 1])


@settings(max_examples=examples(60))
@given(
    rows=st.lists(
        st.tuples(st.integers(0, CONTEXT - 12), st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=SLOTS
    ),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 999),
)
def test_any_batch_of_any_adapters_at_any_place(
    both: Pair, rows: list[tuple[int, int, int]], threads: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    for made in (both.compiled, both.plain):
        for tensor in (made.kv.keys, made.kv.values):
            tensor.copy_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed)))
    chunks = [
        Chunk(slot, start, torch.randint(0, 250, (length,), generator=random).tolist())
        for slot, (start, length, _) in enumerate(rows)
    ]
    torch.set_num_threads(threads)
    try:
        assert both.decode(chunks, [adapter for _, _, adapter in rows])
    finally:
        torch.set_num_threads(1)
    assert both.same_kv()


@pytest.mark.parametrize("first", [CALL_TOKENS - 1, CALL_TOKENS, CALL_TOKENS + 1])
def test_more_tokens_than_one_call_takes(both: Pair, first: int) -> None:
    assert both.prefill([Chunk(0, 0, range(first)), Chunk(1, 0, range(3, CONTEXT)), Chunk(2, 0, [7])], adapter=2)
    assert both.decode([Chunk(0, first, [7, 8]), Chunk(1, 0, range(5, CONTEXT)), Chunk(2, 1, [9])], [0, 1, 2])
    assert both.same_kv()


@pytest.mark.parametrize(
    ("chunk", "what"),
    [
        (Chunk(0, 0, [100_000]), "token 100000"),
        (Chunk(0, 0, [3, -1]), "token -1"),
        (Chunk(0, CONTEXT, [3]), f"position {CONTEXT}"),
        (Chunk(SLOTS, 0, [3]), f"slot {SLOTS}"),
    ],
)
def test_what_is_outside_the_model_or_its_slots_touches_nothing(both: Pair, chunk: Chunk, what: str) -> None:
    keys = both.compiled.kv.keys.clone()
    with pytest.raises(IndexError, match=what):
        both.compiled.decode([chunk], [None])
    assert torch.equal(keys, both.compiled.kv.keys)


def test_what_is_not_a_number_stays_so_and_stays_in_its_row(both: Pair) -> None:
    both.prefill([Chunk(0, 0, range(40))])
    both.prefill([Chunk(1, 0, range(40))])
    both.compiled.kv.keys[:, 1, :, 35] = float("nan")
    fine, broken = both.compiled.decode([Chunk(0, 40, [7]), Chunk(1, 40, [7])], [None, None])
    assert fine.isfinite().all()
    assert broken.isnan().any()
    both.compiled.kv.wipe(1, CONTEXT)


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (6, 2), (6, 1)])
def test_what_is_not_a_number_does_not_reach_the_tokens_before_it(tmp_path: Path, heads: int, kv_heads: int) -> None:
    folder = make_tiny_model(
        tmp_path, num_attention_heads=heads, num_key_value_heads=kv_heads, hidden_size=48, head_dim=8
    )
    made = make(folder, library=load())
    assert isinstance(made._shortcut, CompiledForward)
    assert isinstance(made.network, FusedNetwork)
    broken = 9
    made.network.embedding[broken] = float("nan")
    made.prefill([Chunk(0, 0, range(10, 134))], None)
    expected = made.decode([Chunk(0, 124, [7, 8])], [None])
    got = made.decode([Chunk(0, 124, [7, 8, *[broken] * 3])], [None])
    assert torch.allclose(got[:2], expected, atol=1e-4)
    assert got[2].isnan().any()


def test_a_renewed_runner_computes_in_its_own_kv(both: Pair) -> None:
    renewed = both.compiled.renewed(keeps_kv=False)
    assert isinstance(renewed._shortcut, CompiledForward)
    before = both.compiled.kv.keys.clone()
    got = renewed.prefill([Chunk(3, 0, [9, 8])], both.adapters[1])
    assert torch.equal(before, both.compiled.kv.keys)
    assert torch.allclose(got, both.plain.prefill([Chunk(3, 0, [9, 8])], both.adapters[1]), atol=2e-3)


def test_adapters_that_left_are_forgotten(both: Pair) -> None:
    both.decode([Chunk(0, 0, [7]), Chunk(1, 0, [7])], [1, 2])
    first, second = (adapter.digest for adapter in both.adapters[1:] if adapter)
    assert {first, second} <= both.compiled.held
    both.compiled.release_adapters({second})
    assert first not in both.compiled.held
    both.compiled.free_memory()
    assert not both.compiled.held
    assert both.decode([Chunk(0, 0, [7]), Chunk(1, 0, [7])], [1, 2])


@pytest.mark.parametrize("config", [{"head_dim": 12}, {"intermediate_size": 66}])
def test_odd_sizes_are_left_to_torch(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = make_tiny_model(tmp_path, **config)
    made = make(folder, library=load())
    assert made._shortcut is None
    assert isinstance(made.network, FusedNetwork)


def test_batches_that_are_wanted_in_bfloat16_are_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.engine.large_batch._gain", lambda few, many, rows: 2.0 if rows >= 32 else 0.5)
    made = make(make_tiny_model(tmp_path), library=load(), precision="medium")
    assert made._shortcut is not None
    assert made._shortcut.prefill([Chunk(0, 0, [7] * 31)], None) is not None
    assert made._shortcut.prefill([Chunk(0, 0, [7] * 32)], None) is None


def test_another_result_than_the_models_own_is_never_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(CompiledForward):
        def _compute(self, *arguments: Any) -> torch.Tensor:
            return super()._compute(*arguments) + torch.randn(1)

    monkeypatch.setattr(runner_module, "CompiledForward", Wrong)
    assert make(make_tiny_model(tmp_path), library=load())._shortcut is None


async def test_the_setting_turns_it_off(tiny: Path) -> None:
    texts = []
    for compiled in (True, False):
        engine = LocalEngine(tiny, slots=2, threads=1, compiled=compiled)
        await engine.start()
        assert (engine._running().runner._shortcut is not None) is compiled
        texts.append((await ask(engine, says("hello"))).text)
        await engine.stop()
    assert texts[0] == texts[1]
