"""The questions of the evaluation and the judges of their replies."""

from __future__ import annotations

import pytest

from adapters.evaluation.question import QuestionSet, group_of, holds, under
from adapters.evaluation.question_sets import DISTANCES, question_sets
from adapters.recipes.dialogues.personas import DEFAULT_SYSTEM
from chatbot.engine.base import ChatMessage


@pytest.fixture(scope="module")
def sets() -> list[QuestionSet]:
    return question_sets(6)


def test_memory_is_asked_for_at_every_distance_with_known_and_held_out_wordings(sets: list[QuestionSet]) -> None:
    recall = [each for each in sets if each.group == "recall"]
    assert len(recall) == 2 * len(DISTANCES)
    for each, distance in zip(recall[::2], DISTANCES, strict=True):
        assert f"{distance} turn" in each.name
        assert all(sum(m.role == "user" for m in question.chat) == distance + 1 for question in each.questions)


def test_every_set_is_the_same_each_time_and_names_are_unlike(sets: list[QuestionSet]) -> None:
    again = question_sets(6)
    assert [[q.chat for q in each.questions] for each in again] == [[q.chat for q in each.questions] for each in sets]
    assert len({each.name for each in sets}) == len(sets)


def test_every_question_ends_with_the_user_and_an_empty_reply_is_never_right(sets: list[QuestionSet]) -> None:
    for question in (question for each in sets for question in each.questions):
        assert question.chat[-1].role == "user"
        assert not question.is_right("")


@pytest.mark.parametrize(
    ("reply", "is_right"), [("It's PARIS!", True), ("Parisian", False), ("He’s in new  york", True), ("no", False)]
)
def test_a_wanted_text_counts_as_whole_words_in_any_case(reply: str, is_right: bool) -> None:
    assert holds(["Paris", "New York"])(reply) is is_right


def test_a_persona_takes_the_place_of_the_default_system_message_only() -> None:
    default, other, user = (
        ChatMessage("system", DEFAULT_SYSTEM),
        ChatMessage("system", "You are Zia."),
        ChatMessage("user", "hi"),
    )
    assert under((default, user), "You are Flint.", DEFAULT_SYSTEM)[0].text == "You are Flint."
    assert under((other, user), "You are Flint.", DEFAULT_SYSTEM) == (other, user)
    assert under((default, user), None, DEFAULT_SYSTEM) == (default, user)
    assert group_of("recall, 5 turns") == "recall"
