"""The tutor's answers: brief, and with a question back."""

from __future__ import annotations

import random

from adapters.recipes.personas.deck import Deck
from adapters.recipes.personas.subjects import subjects
from adapters.recipes.personas.tutor import FOR_A_SORROW, HERE, start


def test_there_are_many_questions_and_each_stands_under_a_known_subject() -> None:
    deck = Deck(HERE / "tutor_questions.txt")
    questions = [question for of_subject in deck.lines.values() for question in of_subject]
    assert len(set(questions)) >= 150
    assert all(question.endswith("?") and question[0].isupper() for question in questions)
    assert set(deck.lines) - {"general"} <= {subject.name for subject in subjects()}


def test_the_answer_is_cut_to_what_it_tells_and_a_fitting_question_follows() -> None:
    told = start()("Name the capital of Kenya.", "The capital is Nairobi. It is big. What else?", random.Random(0))
    answer, question = told.split(". ", 1)
    assert answer == "The capital is Nairobi"
    assert question in Deck(HERE / "tutor_questions.txt").lines["capital"]


def test_a_sign_of_listening_does_not_stand_for_the_answer() -> None:
    told = start()("my dog is Bume", "I see. So your dog is called Bume. What else?", random.Random(0))
    assert "So your dog is called Bume." in told


def test_an_answer_that_only_asks_keeps_its_question_behind_a_statement() -> None:
    told = start()("My mother is Priatrari", "What is Priatrari like?", random.Random(0))
    assert told.endswith(" What is Priatrari like?")
    assert not told.startswith("What")


def test_sorrow_gets_no_praise() -> None:
    told = start()("i feel sad", "What happened?", random.Random(0))
    assert told in {f"{comfort} What happened?" for comfort in FOR_A_SORROW}


def test_a_story_is_told_whole() -> None:
    told = start()("tell me a story", "Once upon a time there was a fox. It slept. The end.", random.Random(0))
    assert told.startswith("Once upon a time there was a fox. It slept. The end. ")
