"""Vectors made of a little corpus: words that stand in each other's company point the same way, each time anew."""

import json
from pathlib import Path

import numpy as np
import pytest

from adapters.recipes.meaning import texts
from adapters.recipes.meaning.cooccurrence import Matrix, start
from adapters.recipes.meaning.learning import average, learnt

TALKS = [["Which pet?", "A cat purrs."], ["Which pet?", "The dog purrs."], ["Which ride?", "A bus stops."]] * 8
PROSE = "The bus stops here today. Every train stops there too. The rails were new. We rode along the coast.\n\n"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(texts, "SHARES", {"spc.jsonl": 1.0, "tinystories_bits.txt": 1.0})
    monkeypatch.setattr(texts, "_OWN_DIALOGUES", 3)
    roles = ("user", "assistant")
    lines = [{"messages": [{"role": r, "content": c} for r, c in zip(roles, talk, strict=True)]} for talk in TALKS]
    (tmp_path / "spc.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    (tmp_path / "tinystories_bits.txt").write_text(PROSE * 4, "utf-8")
    return tmp_path


def made(corpus: Path) -> tuple[dict[str, int], Matrix]:
    words, often, sources = texts.read(corpus, 200)
    plain = np.array([word in ("a", "the", "which") for word in words])
    begin = start([sources["spc.jsonl"], sources["tinystories_bits.txt"]], often, plain, 8)
    del sources[texts.OWN]
    return {word: n for n, word in enumerate(words)}, average([learnt(begin, sources, seed, 30) for seed in (0, 1)])


def test_words_in_each_others_company_point_the_same_way(corpus: Path) -> None:
    number, vectors = made(corpus)
    pet, cat, bus = (vectors[number[word]] / np.linalg.norm(vectors[number[word]]) for word in ("pet", "cat", "bus"))
    assert pet @ cat > pet @ bus + 0.3


def test_the_same_corpus_gives_the_same_vectors(corpus: Path) -> None:
    assert np.array_equal(made(corpus)[1], made(corpus)[1])


def test_a_corpus_that_lacks_a_source_is_refused_by_name(corpus: Path) -> None:
    (corpus / "tinystories_bits.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither tinystories_bits\.txt nor"):
        texts.read(corpus, 200)
