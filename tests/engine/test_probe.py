"""A way of computing that goes wrong for prompts alone or side by side, or when decoding, is not used."""

from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from transformers import AutoModelForCausalLM

from chatbot.engine.attention import Chunk
from chatbot.engine.base import ModelNotFound
from chatbot.engine.kv import KVShape
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


def test_a_model_whose_own_code_fails_is_refused() -> None:
    model = Mock(side_effect=RuntimeError("the size of tensor a must match"))
    model.get_input_embeddings.return_value.num_embeddings = 300
    model.config.model_type = "mystery"
    with pytest.raises(ModelNotFound, match="mystery: its own code cannot compute a prompt: the size of tensor a"):
        Probe(model, CPU, KVShape(layers=1, slots=2, kv_heads=1, max_len=64, head_dim=4))


def test_one_slot_is_enough(tiny: Path) -> None:
    runner = Runner(tiny, slots=1, context_tokens=64, device=CPU, dtype=torch.float32)
    assert len(runner._probe.slots) == 1
