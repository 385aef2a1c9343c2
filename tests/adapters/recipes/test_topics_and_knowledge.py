"""What small talk opens with, beside the questions that knowledge answers."""

from __future__ import annotations

import random
import re
from bisect import bisect_left

from adapters.recipes.dialogues.knowledge import question, rows
from adapters.recipes.dialogues.slots import slot_values
from adapters.recipes.dialogues.topics import all_topics
from adapters.recipes.personas.sentences import words
from tests.adapters.recipes.templates import choices

SLOT = re.compile(r"\{(\w+)[^}]*\}")


def test_no_topic_opens_with_a_question_that_knowledge_answers() -> None:
    rng = random.Random(8)
    asked = {_plain(question(rng)[0]) for _ in range(20_000)}
    asked |= {_plain(user) for users, _ in rows("plain") for user in users.split(" ; ")}
    questions = sorted(asked)
    openings = (user for topic in all_topics() for exchange in topic.openings for user in exchange.users)
    assert sorted(user for user in openings for text in choices(user) if _asks(text, questions)) == []


def _asks(text: str, questions: list[str]) -> bool:
    """Whether a text, with any values in its slots, is one of the sorted questions."""
    begin = _plain(text.partition("{")[0])
    near = questions[bisect_left(questions, begin) : bisect_left(questions, f"{begin}~")] if begin else []
    if "{" not in text:
        return near[:1] == [begin]
    return bool(near) and any(map(re.compile(_pattern(text)).fullmatch, near))


def _pattern(text: str) -> str:
    """What a text is with any training value in each slot."""
    parts = SLOT.split(text)
    parts[::2] = [re.escape(_plain(part)) for part in parts[::2]]
    parts[1::2] = [f"(?:{'|'.join(map(_plain, _values(slot)))})" for slot in parts[1::2]]
    return " ".join(part for part in parts if part)


def _values(slot: str) -> tuple[str, ...]:
    return ("ada",) if slot == "me" else slot_values()[slot].training


def _plain(text: str) -> str:
    return " ".join(words(text))
