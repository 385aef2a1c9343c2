"""How near replies come to reference answers: BLEU (Papineni et al. 2002) and chrF (Popović 2015), by sacrebleu."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.errors import BadData, Problem
from adapters.evaluation.question import Chat, as_chat
from adapters.evaluation.replies import Reply

EXPECTED = 'each line is {"messages": [..., the reference answer], "subset": "a name such as the language"}'


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, its reference answer, and the subset it counts for, such as a language."""

    chat: Chat
    reference: str
    subset: str


def read_pairs(file: Path) -> list[Pair]:
    """Return the pairs of a test file; each line has `messages` of two turns and a `subset`.

    Raises BadData with every line that has not.
    """
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            pairs.append(_pair(json.loads(line)))
        except (ValueError, LookupError, TypeError):
            problems.append(Problem(file, number, f"not one of the chats to compare with ({EXPECTED})"))
    if problems:
        raise BadData(problems)
    return pairs


def _pair(row: Any) -> Pair:  # any JSON value
    *before, answer = row["messages"]
    return Pair(as_chat(before), str(answer["content"]), str(row["subset"]))


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
