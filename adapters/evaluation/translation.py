"""How near replies come to reference answers: BLEU (Papineni et al. 2002) and chrF (Popović 2015), by sacrebleu."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from adapters.errors import BadData, Problem
from adapters.evaluation.question import Chat
from adapters.evaluation.replies import Reply
from adapters.formats import RawRow
from adapters.shapes import Misshapen, RawTurn, turns_of
from adapters.validate import UNWANTED, problems_of
from chatbot.engine.base import ChatMessage, Role

EXPECTED = 'each line is {"messages": [..., the reference answer], "subset": "a name such as the language"}'


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, its reference answer, and the subset it counts for, such as a language."""

    chat: Chat
    reference: str
    subset: str
    file: Path
    line: int


def read_pairs(file: Path) -> list[Pair]:
    """Return the pairs of a test file; each line is a chat, as `adapter train` takes it, with a `subset`.

    Raises BadData with every problem, also if there are none.
    """
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            subset, turns = _row(line)
        except Misshapen as error:
            problems.append(Problem(file, number, str(error)))
            continue
        problems += problems_of(RawRow(file, number, "messages", turns))
        pairs.append(Pair(_chat(turns[:-1]), turns[-1].text if turns else "", subset, file, number))
    if problems or not pairs:
        raise BadData(problems or [Problem(file, 1, f"no chats in the file to compare with ({EXPECTED})")])
    return pairs


def _row(line: bytes) -> tuple[str, tuple[RawTurn, ...]]:
    """Return a row's subset and turns. Raises Misshapen."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Misshapen(f"not JSON: {error} ({EXPECTED})") from None
    _, turns = turns_of(row)
    if not isinstance(subset := row.get("subset"), str) or UNWANTED.search(subset):
        raise Misshapen(f'"subset" is missing, or no text that can be printed ({EXPECTED})')
    return subset, turns


def _chat(turns: Sequence[RawTurn]) -> Chat:
    return tuple(ChatMessage(cast("Role", turn.role), turn.text) for turn in turns)


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
