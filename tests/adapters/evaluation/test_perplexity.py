"""Perplexity on the held-out part of a corpus."""

from __future__ import annotations

import json
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


def test_the_same_talks_in_two_sources_are_held_out_in_both(tmp_path: Path) -> None:
    talks = [[f"talk {number}, line {line}, " + "word " * 60 for line in range(8)] for number in range(300)]
    _write(tmp_path / "spc.jsonl", talks)
    _write(tmp_path / "spc_swapped.jsonl", [talk[1:-1] for talk in talks])
    kept, held = (Corpus.read(tmp_path, held_out=held).texts for held in (False, True))
    for texts in (kept, held):
        assert _talks(texts["spc.jsonl"]) == _talks(texts["spc_swapped.jsonl"])
    assert not _talks(kept["spc.jsonl"]) & _talks(held["spc.jsonl"])
    assert 0 < len(_talks(held["spc.jsonl"])) < 20


def test_translations_of_a_sentence_are_on_one_side(tmp_path: Path) -> None:
    sentences = [f"sentence {number}" for number in range(300)]
    _write(tmp_path / "tatoeba_en_fra.jsonl", [[sentence, f"une {n}"] for sentence in sentences for n in range(3)])
    held = Corpus.read(tmp_path, held_out=True).texts["tatoeba_en_fra.jsonl"]
    assert {text.partition("\n")[0] for text in held} == set(filter(is_held_out, sentences))
    assert len(held) == 3 * len(set(filter(is_held_out, sentences)))


def _write(path: Path, talks: list[list[str]]) -> None:
    rows = [{"messages": [{"role": "user", "content": text} for text in talk]} for talk in talks]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _talks(texts: list[str]) -> set[str]:
    return {text.split(",")[0] for text in texts}
