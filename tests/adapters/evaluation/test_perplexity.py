"""Perplexity on the held-out part of a corpus."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from adapters.evaluation.perplexity import perplexities, perplexity
from adapters.recipes.base.corpus import Corpus, is_held_out
from tests.tiny import make_tiny_model


def test_it_is_exp_of_the_loss_that_transformers_tells(tmp_path: Path) -> None:
    network = AutoModelForCausalLM.from_pretrained(make_tiny_model(tmp_path)).eval()
    ids = [5, 9, 30, 31, 60, 2]
    with torch.no_grad():
        loss = network(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
    assert perplexity(network, [ids, [7]], longest=99) == pytest.approx(math.exp(loss), rel=1e-4)


def test_only_held_out_documents_count_and_training_gets_the_others(tmp_path: Path) -> None:
    texts = [f"story number {number}" for number in range(300)]
    (tmp_path / "tinystories_bits.txt").write_text("\n\n".join(texts), "utf-8")
    kept, held = (Corpus.read(tmp_path, held_out=held).texts["tinystories_bits.txt"] for held in (False, True))
    assert sorted(kept + held) == sorted(texts)
    assert 0 < len(held) < 20
    assert all(map(is_held_out, held))
    found = perplexities(make_tiny_model(tmp_path / "model"), tmp_path)
    assert found.keys() == {"tinystories_bits.txt"}
    assert found["tinystories_bits.txt"] > 1
