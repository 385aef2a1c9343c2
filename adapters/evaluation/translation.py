"""How near replies come to reference answers: BLEU (Papineni et al. 2002) and chrF (Popović 2015), by sacrebleu."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.evaluation.question import Chat, as_chat
from adapters.evaluation.replies import Reply


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, its reference answer, and the subset it counts for, such as a language."""

    chat: Chat
    reference: str
    subset: str


def read_pairs(file: Path) -> list[Pair]:
    """Return the pairs of a test file; each line has `messages` of two turns and a `subset`."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [Pair(as_chat(row["messages"][:-1]), row["messages"][-1]["content"], row["subset"]) for row in rows]


def scores(pairs: Sequence[Pair], replies: Sequence[Reply]) -> dict[str, dict[str, float]]:
    """Return BLEU and chrF, 0 to 100, of each subset."""
    from sacrebleu import corpus_bleu, corpus_chrf

    found: dict[str, dict[str, float]] = {}
    for subset in sorted({pair.subset for pair in pairs}):
        both = [(r.text, p.reference) for p, r in zip(pairs, replies, strict=True) if p.subset == subset]
        said, wanted = [text for text, _ in both], [[reference for _, reference in both]]
        found[subset] = {
            "bleu": round(corpus_bleu(said, wanted).score, 1),
            "chrf": round(corpus_chrf(said, wanted).score, 1),
            "count": len(both),
        }
    return found
