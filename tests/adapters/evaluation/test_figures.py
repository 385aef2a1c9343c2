"""What replies come to."""

from __future__ import annotations

import pytest

from adapters.evaluation.figures import by_group, distinct, figures
from adapters.evaluation.question import Question, QuestionSet, holds
from adapters.evaluation.replies import Reply
from chatbot.engine.base import ChatMessage


def asked(name: str, *wanted: str) -> QuestionSet:
    chat = (ChatMessage("user", "well?"),)
    return QuestionSet(name, tuple(Question(chat, holds([text]), text) for text in wanted))


def test_shares_misses_and_stops_are_counted() -> None:
    sets = [asked("recall, 1 turn", "Ana", "Rex"), asked("knowledge", "Oslo")]
    answered = [[Reply("It's Ana.", True), Reply("It's <|end Ben.", True)], [Reply("Oslo Oslo Oslo", False)]]
    found = figures(sets, answered)
    assert found.right == {"recall, 1 turn": 0.5, "knowledge": 1.0}
    assert found.stops_itself == pytest.approx(2 / 3, abs=1e-3)
    assert found.control_tokens == 1
    assert [(miss.wanted, miss.got) for miss in found.misses] == [("Rex", "It's <|end Ben.")]
    assert found.as_dict()["misses"][0]["asked"] == "well?"


def test_distinct_is_the_share_of_different_groups_of_words() -> None:
    assert distinct(["a b a b", "a"], 1) == pytest.approx(2 / 5)
    assert distinct(["a b a b"], 2) == pytest.approx(2 / 3, abs=1e-4)
    assert distinct([], 1) == 0


def test_groups_are_means_of_their_sets() -> None:
    assert by_group({"recall, 1": 0.5, "recall, 2": 1.0, "honesty": 0.2}) == {"recall": 0.75, "honesty": 0.2}


def test_what_was_not_asked_is_neither_right_nor_wrong() -> None:
    found = figures([asked("recall, 20 turns")], [[]])
    assert (found.right, found.stops_itself) == ({"recall, 20 turns": None}, None)
    assert by_group({"recall, 1": 0.5, "recall, 2": None, "honesty": None}) == {"recall": 0.5}
