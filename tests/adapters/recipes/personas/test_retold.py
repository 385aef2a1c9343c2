"""The base's own dialogues in the voices of the personas."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from adapters.recipes.dialogues import Dialogue, dialogues
from adapters.recipes.personas.__main__ import VOICES
from adapters.recipes.personas.poems import LINE
from adapters.recipes.personas.retold import Tell, is_faithful, retold, retold_chats
from adapters.recipes.personas.voices import is_in_voice

PLAIN_TURNS = [
    [message["content"] for message in dialogue.messages]
    for dialogue in dialogues(11, 600)
    if dialogue.messages[0]["role"] == "user" and all(message["content"] for message in dialogue.messages)
]
VALUE = re.compile(r"(?<=[a-z] )[A-Z][a-z]+|\d+")
"""A name inside a sentence, or a number."""


@pytest.mark.parametrize("name", VOICES)
def test_no_told_value_is_changed(name: str) -> None:
    answers_with_one = 0
    for asked, answer, told in _answered(VOICES[name].start()):
        values = set(VALUE.findall(answer)) & set(VALUE.findall(asked)) - {"Ada"}
        assert all(value in told for value in values), (asked, answer, told)
        answers_with_one += bool(values)
    assert answers_with_one > 50


@pytest.mark.parametrize("name", ["poet", "tutor"])
def test_nearly_every_answer_is_in_voice(name: str) -> None:
    told = [text for _, _, text in _answered(VOICES[name].start())]
    assert sum(is_in_voice(name, text) for text in told) > 0.97 * len(told)


@pytest.mark.parametrize(("name", "between"), [("poet", LINE), ("tutor", ". ")])
def test_no_closing_line_wears_out(name: str, between: str) -> None:
    told = [text for _, _, text in _answered(VOICES[name].start())]
    closings = Counter(text.split(between)[-1] for text in told)
    assert closings.most_common(1)[0][1] < 0.02 * len(told)


@pytest.mark.parametrize("name", VOICES)
def test_as_many_chats_come_as_were_asked_for_and_none_has_the_name_of_the_base(name: str) -> None:
    some = list(retold_chats(60, VOICES[name]))
    assert len(some) == 60
    assert not any(re.search(r"\bada\b", text, re.IGNORECASE) for turns in some for text in turns)


@pytest.mark.parametrize("name", VOICES)
def test_a_quotation_stays_and_what_is_to_be_copied_stands_alone(name: str) -> None:
    chats = list(retold_chats(300, VOICES[name]))
    quoted = [turns[at - 3 : at + 1] for turns in chats for at in range(3, len(turns), 2) if ': "' in turns[at]]
    said_before = re.compile(r"(?i)what did i|what i said|my last message")
    assert quoted
    assert [turns for turns in quoted if said_before.search(turns[2]) and turns[0] not in turns[3]] == []
    assert [turns for turns in chats if any(re.match(r"(?i)(copy|write) this", said) for said in turns[::2])] == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("Your key is in my coat.", "Yer key is in me coat."),
        ('You said: "My dog barks."', 'Ye said: "Me dog barks."'),
        ("The kettle is red.", "Aye, the kettle be red, as ye said, me hearty."),
    ],
)
def test_a_dialogue_that_a_voice_would_change_is_left_out(answer: str, told: str) -> None:
    dialogue = Dialogue((), frozenset({"in my coat"}), {1: lambda reply: len(reply) < 30})
    assert is_faithful(dialogue, ["Well?", answer], ["Well?", answer])
    assert not is_faithful(dialogue, ["Well?", answer], ["Well?", told])


def test_both_sides_call_the_persona_by_its_name() -> None:
    turns = retold(["hi ada", "Hello! I'm Ada."], "Wren", lambda _asked, answer, _rng: answer, random.Random(0))
    assert turns == ["hi wren", "Hello! I'm Wren."]


def test_only_what_was_said_now_is_what_was_asked() -> None:
    heard = []

    def tell(asked: str, answer: str, rng: random.Random) -> str:
        heard.append(asked.strip())
        return answer

    retold(["[earlier in this chat]\nuser, 1 May: I'm Ben.\n[now]\nWho am I?", "Ben."], "Wren", tell, random.Random(0))
    assert heard == ["Who am I?"]


def _answered(tell: Tell) -> list[tuple[str, str, str]]:
    rng = random.Random(3)
    pairs = [pair for turns in PLAIN_TURNS for pair in zip(turns[::2], turns[1::2], strict=True)]
    return [(asked, answer, tell(asked, answer, rng)) for asked, answer in pairs]
