"""BLEU and chrF against reference answers."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.evaluation.replies import Reply
from adapters.evaluation.translation import read_pairs, scores

ROWS = (
    ("English to French", "I have two big dogs.", "J'ai deux gros chiens."),
    ("English to Spanish", "I have two big dogs.", "Tengo dos perros grandes."),
)


def test_right_translations_score_100_and_wrong_ones_near_0_each_in_its_subset(tmp_path: Path) -> None:
    file = tmp_path / "test.jsonl"
    file.write_text("".join(_line(*row) for row in ROWS), "utf-8")
    pairs = read_pairs(file)
    found = scores(pairs, [Reply("J'ai deux gros chiens.", True), Reply("Hello, how is it?", True)])
    assert found["English to French"] == {"bleu": 100.0, "chrf": 100.0, "count": 1}
    assert found["English to Spanish"]["chrf"] < 20


def _line(subset: str, asked: str, answer: str) -> str:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages, "subset": subset}) + "\n"
