"""A way of computing that goes wrong for prompts alone or side by side, or when decoding, is not used."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from chatbot.engine.attention import Chunk
from chatbot.engine.probe import Probe
from chatbot.engine.runner import Runner

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("goes_wrong", "complaint"),
    [
        (lambda chunks: False, None),
        (lambda chunks: len(chunks) == 1 and len(chunks[0].tokens) > 1, "logits differ by"),
        (lambda chunks: len(chunks) > 1, "logits differ by"),
        (lambda chunks: len(chunks[0].tokens) == 1, "logits differ by"),
    ],
)
def test_what_is_wrong_is_found(
    tiny: Path, goes_wrong: Callable[[Sequence[Chunk]], bool], complaint: str | None
) -> None:
    runner = Runner(tiny, slots=2, context_tokens=64, device=CPU, dtype=torch.float32)
    probe = Probe(AutoModelForCausalLM.from_pretrained(tiny), CPU, runner.kv.shape)

    def compute(chunks: Sequence[Chunk]) -> torch.Tensor:
        return runner.prefill(chunks, None) + (1 if goes_wrong(chunks) else 0)

    problem = probe.problem(compute, compute)
    assert problem is None if complaint is None else complaint in str(problem)


def test_one_slot_is_enough(tiny: Path) -> None:
    runner = Runner(tiny, slots=1, context_tokens=64, device=CPU, dtype=torch.float32)
    assert len(runner._probe.slots) == 1
