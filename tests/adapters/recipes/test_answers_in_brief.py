"""The sentences of an answer, and what a persona that answers in one sentence leaves of it."""

from __future__ import annotations

import random
import re

import pytest

from adapters.recipes.dialogues.detail_talk import ask_detail, tell_detail
from adapters.recipes.dialogues.memory_talk import ask_known, tell, what_said
from adapters.recipes.dialogues.personas import Persona
from adapters.recipes.dialogues.sentences import sentences, shortest
from adapters.recipes.dialogues.small_talk import filler
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.typing_habits import TypingHabit


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("Yes.", 1), ("Hi! How are you?", 2), ("Ask Mr. Hill.", 1), ('You said: "I am ill. Help!" Right?', 1)],
)
def test_sentences_are_counted(text: str, count: int) -> None:
    assert len(sentences(text)) == count


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Your wife? That's Guiinta.", "That's Guiinta."),
        ("Guiinta! Is Guiinta well?", "Guiinta!"),
        ("Guiinta, then. She lives in Oslo. Well?", "Guiinta, then. She lives in Oslo."),
        ("Hello! How are you?", "Hello!"),
        ("Yes.", "Yes."),
    ],
)
def test_the_fewest_sentences_with_all_that_is_told_are_kept(text: str, kept: str) -> None:
    assert shortest(text, ["Guiinta", "Oslo"]) == kept


def test_who_answers_in_brief_gives_what_was_told_whole() -> None:
    talk = _talk(0, is_brief=True)
    talk.values.add("Guiinta")
    talk.exchange("Who is my wife?", "Your wife? That's Guiinta. I remember.")
    talk.exchange("What did I say?", 'You said: "I saw a film. It was good."')
    assert [turn["content"] for turn in talk.turns[1::2]] == [
        "That's Guiinta.",
        'You said: "I saw a film. It was good."',
    ]


@pytest.mark.parametrize("seed", range(100))
def test_no_value_of_an_answer_is_lost_in_brief(seed: int) -> None:
    talk = _talk(seed, is_brief=False)
    for event in (tell, ask_known, tell_detail, ask_detail, what_said):
        event(talk)
    for answer in (turn["content"] for turn in talk.turns[1::2]):
        brief = Persona("Ada", None, None, is_brief=True).style(answer, talk.values)
        assert len(brief) <= len(answer)
        assert [value for value in talk.values if value in answer and value not in brief] == []


def test_who_answers_in_one_sentence_tells_no_story_joke_or_riddle() -> None:
    talks = [_talk(seed, is_brief=True) for seed in range(300)]
    for talk in talks:
        filler(talk)
    asked = [turn["content"] for talk in talks for turn in talk.turns[::2]]
    answers = [
        turn["content"] for talk in talks for at, turn in enumerate(talk.turns) if at % 2 and at not in talk.checks
    ]
    assert len(answers) > 300
    assert sum(len(sentences(answer)) > 1 for answer in answers) < 0.01 * len(answers)  # what holds a value may be two
    assert [said for said in asked if re.match(r"(Tell me a|Do you know a|Another) (story|joke|riddle)", said)] == []


def _talk(seed: int, *, is_brief: bool) -> Talk:
    habit = TypingHabit(False, False, False, False, False, 0.0, False)
    return Talk(random.Random(seed), Persona("Ada", None, None, is_brief), habit)
