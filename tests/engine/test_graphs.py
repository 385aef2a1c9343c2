"""A forward played back gives the logits of the plain one, whatever the rows and whoever's adapter each of them uses.

There is no CUDA graph on a CPU, but a trace by `make_fx` is like one in all that matters here: the tensor operations
alone, on the tensors that were there, and not a line of our Python.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx

from chatbot.engine.adapter_files import LoraAdapter, read_adapter
from chatbot.engine.attention import Chunk
from chatbot.engine.digest import model_digest
from chatbot.engine.graphs import Compute, Replay
from chatbot.engine.probe import TOKENS
from chatbot.engine.runner import Runner
from tests.examples import examples
from tests.tiny import make_tiny_adapter, make_tiny_model

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("as_in_the_engines_thread")


class Tracer:
    """Records as CUDA graphs do."""

    def __init__(self) -> None:
        self.recorded = 0
        self.played = 0

    def __call__(self, compute: Compute) -> tuple[Replay, torch.Tensor]:
        self.recorded += 1
        output = torch.empty(0)
        traced = make_fx(lambda _: compute())(torch.empty(0))

        def replay() -> None:
            self.played += 1
            result = traced(torch.empty(0))
            output.resize_(result.shape).copy_(result)

        return replay, output


def runners(folder: Path, *, fuses: bool = True) -> tuple[Runner, Runner, Tracer]:
    """Return a runner without graphs, one with them, and what records for it."""
    tracer = Tracer()
    plain = Runner(folder, slots=6, context_tokens=300, device=CPU, dtype=torch.float32, fuses=fuses)
    made = Runner(
        folder, slots=6, context_tokens=300, device=CPU, dtype=torch.float32, fuses=fuses, recorder=lambda: tracer
    )
    return plain, made, tracer


def adapter(runner: Runner, model: Path, folder: Path, seed: int) -> LoraAdapter:
    made = make_tiny_adapter(model, folder, seed=seed)
    return read_adapter(made, runner.linears, base_digest=model_digest(model), dtype=torch.float32, device=CPU)


def alike(plain: torch.Tensor, played: torch.Tensor) -> bool:
    return plain.shape == played.shape and torch.allclose(plain, played, atol=1e-4)


class Pair:
    """A runner without graphs and one with them, given the same steps."""

    def __init__(self, model: Path, folder: Path, *, fuses: bool) -> None:
        self.plain, self.graphs, self.tracer = runners(model, fuses=fuses)
        for slot in (0, 1):  # what the probe left there; the other one wipes it itself
            self.plain.kv.wipe(slot, TOKENS)
        self.adapters = [None, *(adapter(self.plain, model, folder / str(seed), seed) for seed in (1, 2))]

    def prefill(self, chunk: Chunk, owner: int = 0) -> bool:
        """Compute a chunk by both and tell whether they agree."""
        plain, played = (each.prefill([chunk], self.adapters[owner]) for each in (self.plain, self.graphs))
        return alike(plain, played)

    def decode(self, chunks: Sequence[Chunk], owners: Sequence[int]) -> bool:
        """Compute a step by both and tell whether they agree."""
        used = [self.adapters[owner] for owner in owners]
        plain, played = (each.decode(chunks, used) for each in (self.plain, self.graphs))
        return alike(plain, played)


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Runners of a fused Llama, or of what the test names."""
    folder = tmp_path_factory.mktemp("pair")
    kind = getattr(request, "param", "fused llama")
    architecture = kind.split()[-1]
    extra: dict[str, Any] = {"sliding_window": 20} if architecture == "mistral" else {}
    model = make_tiny_model(folder / "model", architecture=architecture, **extra)
    return Pair(model, folder, fuses=kind.startswith("fused"))


ROW = st.tuples(st.integers(1, 3), st.integers(0, 2))
STEP = st.dictionaries(st.integers(0, 5), ROW, min_size=1, max_size=5)


@pytest.mark.parametrize("pair", ["fused llama", "llama", "fused qwen3", "mistral"], indirect=True)
@settings(max_examples=examples(3))
@given(prompts=st.lists(st.integers(1, 40), min_size=6, max_size=6), steps=st.lists(STEP, max_size=8))
def test_any_steps_give_the_logits_of_the_plain_way(
    pair: Pair, prompts: list[int], steps: list[dict[int, tuple[int, int]]]
) -> None:
    ends = list(prompts)
    for slot, length in enumerate(prompts):
        assert pair.prefill(Chunk(slot, 0, [(slot * 31 + at * 7) % 250 for at in range(length)]), slot % 3)
    for step in steps:
        chunks = [
            Chunk(slot, ends[slot], [(slot + at) % 250 for at in range(count)]) for slot, (count, _) in step.items()
        ]
        assert pair.decode(chunks, [owner for _, owner in step.values()])
        for chunk in chunks:
            ends[chunk.slot] = chunk.end


def test_a_step_met_for_the_third_time_is_only_played_back(pair: Pair) -> None:
    chunks = [Chunk(slot, 50, [slot]) for slot in range(3)]
    assert all(pair.decode(chunks, [1, 2, 0]) for _ in range(2))
    recorded, played = pair.tracer.recorded, pair.tracer.played
    assert pair.decode(chunks, [1, 2, 0])
    assert (pair.tracer.recorded, pair.tracer.played) == (recorded, played + 1)


def test_a_prompt_that_goes_on_gets_no_logits_from_a_graph(pair: Pair) -> None:
    assert all(pair.prefill(Chunk(0, 0, [5, 6, 7], wants_logits=False)) for _ in range(3))


def test_rows_may_change_owners_and_slots_without_a_new_record(pair: Pair) -> None:
    assert all(pair.decode([Chunk(slot, 60, [slot]) for slot in (0, 1)], [1, 2]) for _ in range(2))
    recorded = pair.tracer.recorded
    assert pair.decode([Chunk(slot, 70, [slot]) for slot in (5, 3)], [2, 1])
    assert pair.decode([Chunk(slot, 90, [slot]) for slot in (4, 0)], [0, 2])
    assert pair.tracer.recorded == recorded


def test_an_adapter_that_was_dropped_and_laid_out_anew_is_recorded_anew(pair: Pair) -> None:
    chunk = Chunk(2, 10, [3])
    assert all(pair.decode([chunk], [1]) for _ in range(3))
    pair.graphs.bank.release(set())
    recorded = pair.tracer.recorded
    assert all(pair.decode([chunk], [1]) for _ in range(3))
    assert pair.tracer.recorded == recorded + 1


def test_a_large_batch_is_computed_plainly(pair: Pair) -> None:
    recorded, played = pair.tracer.recorded, pair.tracer.played
    assert all(pair.prefill(Chunk(0, 0, list(range(250)) + list(range(40)))) for _ in range(3))
    assert (pair.tracer.recorded, pair.tracer.played) == (recorded, played)


def test_what_cannot_be_recorded_is_computed_plainly_from_then_on(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    def record(compute: Compute) -> tuple[Replay, torch.Tensor]:
        nonlocal tries
        tries += 1
        raise RuntimeError("operation not permitted when stream is capturing")

    runner = Runner(tiny, slots=1, context_tokens=64, device=CPU, dtype=torch.float32, recorder=lambda: record)
    logits = [runner.decode([Chunk(0, 0, [7])], [None]) for _ in range(4)]
    assert tries == 1
    assert all(alike(logits[0], each) for each in logits)
    assert "without CUDA graphs" in caplog.text


def test_graphs_with_other_logits_are_not_used(tiny: Path) -> None:
    def record(compute: Compute) -> tuple[Replay, torch.Tensor]:
        return lambda: None, compute() + 1

    runner = Runner(tiny, slots=1, context_tokens=64, device=CPU, dtype=torch.float32, recorder=lambda: record)
    plain = Runner(tiny, slots=1, context_tokens=64, device=CPU, dtype=torch.float32)
    for _ in range(3):
        assert alike(plain.decode([Chunk(0, 0, [7])], [None]), runner.decode([Chunk(0, 0, [7])], [None]))


def test_lack_of_memory_is_told_and_another_try_is_open(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [Chunk(slot, 30, [slot]) for slot in range(5)]
    assert pair.decode(chunks, [0] * 5)

    def record(compute: Compute) -> tuple[Replay, torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    graphs = pair.graphs._shortcut
    assert graphs is not None
    pair.graphs.free_memory()
    monkeypatch.setattr(graphs, "_record", record)
    pair.graphs.decode(chunks, [None] * 5)
    with pytest.raises(torch.OutOfMemoryError):
        pair.graphs.decode(chunks, [None] * 5)
    monkeypatch.undo()
    pair.graphs.free_memory()
    assert all(pair.decode(chunks, [0] * 5) for _ in range(3))


def test_the_graphs_used_last_are_kept(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.engine.graphs.MOST_GRAPHS", 2)
    _, runner, tracer = runners(tiny)

    def step(rows: int) -> None:
        runner.decode([Chunk(slot, 0, [7]) for slot in range(rows)], [None] * rows)

    for rows in (1, 1, 2, 2, 1, 4, 1):
        step(rows)
    recorded = tracer.recorded
    step(1)
    assert tracer.recorded == recorded
    step(2)
    step(2)
    assert tracer.recorded == recorded + 1


def test_a_renewed_runner_has_graphs_of_its_own(tiny: Path) -> None:
    plain, runner, _ = runners(tiny)
    renewed = runner.renewed(keeps_kv=False)
    for _ in range(3):
        assert alike(plain.decode([Chunk(1, 0, [9])], [None]), renewed.decode([Chunk(1, 0, [9])], [None]))
    assert not renewed.kv.keys.eq(runner.kv.keys).all()


def test_a_batch_whose_kv_is_too_large_to_be_copied_is_computed_plainly(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortcut = pair.graphs._shortcut
    assert shortcut is not None
    few, many = ([Chunk(slot, 30, [7]) for slot in range(count)] for count in (2, 5))
    assert shortcut.decode(many, [None] * 5) is not None
    enough_for_two = 2 * 2 * 256 * pair.graphs.kv.keys[0, 0, :, 0].nbytes
    monkeypatch.setattr("chatbot.engine.graphs.MOST_COPIED_BYTES", enough_for_two)
    assert shortcut.decode(few, [None] * 2) is not None
    assert shortcut.decode(many, [None] * 5) is None
    assert pair.decode(many, [0] * 5)
