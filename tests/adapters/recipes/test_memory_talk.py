"""What is told, corrected and summed up."""

from __future__ import annotations

import random
import re

import pytest

from adapters.recipes.dialogues.facts import fact_kinds
from adapters.recipes.dialogues.memory_talk import correct, new_fact, summary, tell
from adapters.recipes.dialogues.personas import Persona
from adapters.recipes.dialogues.sentences import asks_yes_or_no
from adapters.recipes.dialogues.small_talk import walk
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.topics import all_topics
from adapters.recipes.dialogues.typing_habits import TypingHabit


@pytest.mark.parametrize("kind", ["season", "favday", "birthday"])
def test_a_correction_says_something_else(kind: str) -> None:
    kinds = fact_kinds()
    for seed in range(40):
        talk = _talk(seed)
        told = new_fact(talk, kinds[kind])
        correct(talk)
        assert talk.facts[kind].value != told.value


@pytest.mark.parametrize("said", ["My dog is ill.", "im tired", "I live in Oslo"])
def test_who_has_told_of_himself_is_not_said_to_have_told_nothing(said: str) -> None:
    talk = _talk(1)
    talk.exchange(said, "I see.")
    summary(talk)
    assert len(talk.turns) == 2


def test_who_has_told_nothing_hears_so() -> None:
    talk = _talk(1)
    talk.exchange("What is snow?", "Frozen water.")
    summary(talk)
    assert "yet" in talk.turns[-1]["content"] or "anything" in talk.turns[-1]["content"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Oslo! Do you like it there?", True),
        ("Isn't it cold?", True),
        ("What is it like?", False),
        ("Is it warm or cold?", False),
        ("Warm or cold?", False),
        ("Is it? Tell me.", False),
    ],
)
def test_a_question_of_yes_or_no_is_known(text: str, expected: bool) -> None:
    assert asks_yes_or_no(text) is expected


def test_a_reply_fits_the_question_before_it() -> None:
    """A yes what yes answers, "I'm fine" a question how one is, and "nothing much" one of what there is."""
    greetings = [topic for topic in all_topics() if topic.name in ("hello", "good morning", "hello again")]
    told, greeted = [_talk(seed) for seed in range(300)], [_talk(seed) for seed in range(200)]
    for talk in told:
        tell(talk)
    for talk in greeted:
        walk(talk, talk.rng.choice(greetings))
    yes = _asked_before(r"(Oh )?[Yy](es|eah)\b|No\b(?! idea)|Sure|Of course|Maybe", told)
    fine = _asked_before(r"I'm (fine|good|great)|Good|Fine|All is well", greeted)
    nothing = _asked_before(r"Noth|Oh, noth|Not much", greeted)
    assert min(map(len, (yes, fine, nothing))) > 5
    assert [asked for asked in yes if not asks_yes_or_no(asked)] == []
    assert [asked for asked in fine if re.search(r"(?i)\b(what|did)\b.*\?$", asked)] == []
    assert [asked for asked in nothing if re.search(r"(?i)\b(how|well|all right)\b.*\?$", asked)] == []


def _asked_before(reply: str, talks: list[Talk]) -> list[str]:
    """What the assistant had said where the user's second turn begins so."""
    turns = [[turn["content"] for turn in talk.turns] for talk in talks if len(talk.turns) > 2]
    return [each[1] for each in turns if re.match(reply, each[2])]


def test_a_name_is_not_called_a_role() -> None:
    gardener = Persona("Devoo", "gardener", None, is_brief=False)
    answers = {gardener.answer("name", random.Random(seed)) for seed in range(200)}
    assert not any(answer.startswith(("My name is Devoo, ", "They call me Devoo, ")) for answer in answers)
    assert any("Devoo, a gardener" in answer for answer in answers)


def _talk(seed: int) -> Talk:
    habit = TypingHabit(False, False, False, False, False, 0.0, False)
    return Talk(random.Random(seed), Persona("Ada", None, None, is_brief=False), habit)
