"""The sets of questions: memory by distance, memory from the recalled block, name, instructions, knowledge, honesty.

Every set has its own seed, so that a set is the same whatever else is asked, and for every model.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from adapters.evaluation.knowledge import knowledge_questions
from adapters.evaluation.question import Question, QuestionSet, as_chat, holds
from adapters.recipes.dialogues.probes import (
    Probe,
    detail_probe,
    instruction_probe,
    persona_probe,
    recall_probe,
    recalled_probe,
    together_probe,
    untold_probe,
)

DISTANCES = (1, 2, 3, 5, 8, 12, 20)
"""User turns between telling a fact and asking for it."""
FEW_DISTANCES = (1, 5)
"""The same for two facts told in one message, and for a detail told in passing."""
WORDINGS = {"known wording": False, "held-out wording": True}


def question_sets(count: int) -> list[QuestionSet]:
    """Return every set with `count` questions; the instructions share theirs among their kinds."""
    return [
        *_by_distance("recall", count, DISTANCES, recall_probe),
        *_together(count),
        *_by_distance("detail", count, FEW_DISTANCES, detail_probe),
        *_recalled(count),
        _drawn("persona name", count, persona_probe),
        *_instructions(count),
        knowledge_questions(count),
        _drawn("admits what was not told", count, untold_probe),
    ]


def _by_distance(name: str, count: int, distances: Sequence[int], draw: Callable[..., Probe]) -> list[QuestionSet]:
    return [
        _drawn(
            f"{name}, {_turns(distance)}, {wording}",
            count,
            partial(draw, distance=distance, held_wording=held),
        )
        for distance in distances
        for wording, held in WORDINGS.items()
    ]


def _together(count: int) -> list[QuestionSet]:
    return [
        _drawn(f"told together, {_turns(distance)}", count, partial(together_probe, distance=distance))
        for distance in FEW_DISTANCES
    ]


def _turns(distance: int) -> str:
    return f"{distance} turn{'s' if distance > 1 else ''}"


def _recalled(count: int) -> list[QuestionSet]:
    return [
        _drawn(f"recalled memory, {wording}", count, partial(recalled_probe, held_wording=held))
        for wording, held in WORDINGS.items()
    ]


def _instructions(count: int) -> list[QuestionSet]:
    rng = random.Random("instructions")
    kinds: dict[str, list[Question]] = defaultdict(list)
    for probe in [instruction_probe(rng) for _ in range(count)]:
        kinds[probe.name].append(Question(as_chat(probe.messages), probe.check, f"keeps to: {probe.name}"))
    return [QuestionSet(f"instructions, {name}", tuple(kinds[name])) for name in sorted(kinds)]


def _drawn(name: str, count: int, draw: Callable[[random.Random], Probe]) -> QuestionSet:
    rng = random.Random(name)
    return QuestionSet(name, tuple(_question(draw(rng)) for _ in range(count)))


def _question(probe: Probe) -> Question:
    return Question(as_chat(probe.messages), holds(probe.wanted), " or ".join(probe.wanted))
