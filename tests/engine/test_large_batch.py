"""Products in bfloat16: only for large batches, only where they are faster, and only as inexact as bfloat16 is."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from chatbot.engine.attention import Chunk
from chatbot.engine.formats import PlainWeight, keeper
from chatbot.engine.large_batch import LargeBatchWeight, Threshold
from chatbot.engine.runner import Runner
from tests.tiny import make_tiny_model

WEIGHT = torch.linspace(-1, 1, 24 * 16).view(24, 16)
BIAS = torch.linspace(0, 1, 24)


def x(rows: int) -> torch.Tensor:
    return torch.linspace(-0.7, 1.3, rows * 16).view(rows, 16)


def large_batch(first: int) -> LargeBatchWeight:
    return LargeBatchWeight(PlainWeight(WEIGHT, BIAS), WEIGHT, BIAS, first)


def test_a_small_batch_is_computed_in_float32() -> None:
    assert torch.equal(large_batch(4)(x(3)), PlainWeight(WEIGHT, BIAS)(x(3)))


@pytest.mark.parametrize("shape", [(4, 16), (2, 2, 16)])
def test_a_large_batch_is_rounded_as_bfloat16_is_and_no_more(shape: tuple[int, ...]) -> None:
    exact = PlainWeight(WEIGHT, BIAS)(x(4).view(shape))
    got = large_batch(4)(x(4).view(shape))
    assert got.dtype == torch.float32
    assert not torch.equal(got, exact)
    assert torch.allclose(got, exact, rtol=0, atol=2**-7 * float(exact.abs().max()))


def test_adding_to_a_residual_adds_the_product() -> None:
    residual = torch.ones(5, 24)
    large_batch(4).add_to(residual, x(5))
    assert torch.equal(residual, 1 + large_batch(4)(x(5)))


def test_bfloat16_is_taken_from_the_first_batch_that_it_computes_faster() -> None:
    def slow_from_32_rows(rows: torch.Tensor) -> torch.Tensor:
        for _ in range(400 if len(rows) >= 32 else 0):
            rows = rows + 0
        return rows

    assert Threshold().first(slow_from_32_rows, WEIGHT) == 32


def test_bfloat16_is_not_taken_where_it_is_never_faster() -> None:
    assert Threshold().first(lambda rows: rows, WEIGHT) is None


def test_each_shape_of_weight_is_measured_once() -> None:
    measured = []

    def note(rows: torch.Tensor) -> torch.Tensor:
        measured.append(len(rows))
        return rows

    threshold = Threshold(rows=(16,))
    threshold.first(note, WEIGHT)
    once = len(measured)
    threshold.first(note, WEIGHT.clone())
    assert len(measured) == once


def test_a_model_keeps_float32_logits_within_the_rounding_of_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Threshold, "first", lambda *_: 2)
    folder = make_tiny_model(tmp_path, dtype=torch.bfloat16)
    runner = Runner(
        folder, slots=2, context_tokens=64, device=torch.device("cpu"), dtype=torch.float32, precision="medium"
    )
    tokens = [5, 6, 7, 8, 9, 200, 33]
    got = runner.prefill([Chunk(0, 0, tokens)], None)[0]
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(torch.tensor([tokens])).logits[0]
    difference = (got - expected[-1]).abs().max() / expected[-1].std()
    assert 0 < difference < 0.15


def test_nothing_is_rounded_unless_it_is_asked_for() -> None:
    assert not isinstance(keeper("highest")(WEIGHT, BIAS), LargeBatchWeight)
