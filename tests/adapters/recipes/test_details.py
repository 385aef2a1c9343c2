"""What must hold for details told in passing and the loose questions that ask for them."""

from __future__ import annotations

import random
import re

import pytest

from adapters.recipes.dialogues import Dialogue, dialogues
from adapters.recipes.dialogues.clauses import answered, asked, not_told, to_second_person
from adapters.recipes.dialogues.detail_talk import ask_detail, ask_untold_detail, tell_detail
from adapters.recipes.dialogues.details import DetailError, details, parse, with_values
from adapters.recipes.dialogues.facts import fact_kinds
from adapters.recipes.dialogues.grammar import slots_of
from adapters.recipes.dialogues.memory_talk import untold_kinds
from adapters.recipes.dialogues.personas import DEFAULT_SYSTEM, Persona
from adapters.recipes.dialogues.probes import NOT_TOLD, detail_probe
from adapters.recipes.dialogues.slots import held_out_words, slot_values
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.typing_habits import TypingHabit


@pytest.fixture(scope="module")
def drawn() -> list[Dialogue]:
    return list(dialogues(23, 600))


def _talk(seed: int) -> Talk:
    habit = TypingHabit(False, False, False, False, False, 0.0, False)
    return Talk(random.Random(seed), Persona("Ada", None, DEFAULT_SYSTEM, False), habit)


def test_every_wording_of_a_detail_has_only_the_slots_that_were_told() -> None:
    for detail in details():
        assert {slot.split(".")[0] for slot in detail.slots} <= set(slot_values()), detail.name
        for wording in detail.tell:
            assert slots_of(wording) == set(detail.slots), (detail.name, wording)
        for question in detail.questions:
            for wording in (*question.ask, *question.held_ask, *question.say, *detail.ack):
                assert slots_of(wording) <= set(detail.slots), (detail.name, wording)
                assert wording.count("[") == wording.count("]"), (detail.name, wording)


def test_every_answer_has_what_its_question_asks_for() -> None:
    for detail in details():
        for question in detail.questions:
            assert question.asked(), (detail.name, question.ask)
    for seed, detail in enumerate(details()):
        rng = random.Random(seed)
        told = with_values(detail, rng, ())
        for question in detail.questions:
            user, answer = asked(question.ask, rng, told.fill), answered(question.say, rng, told.fill)
            for value in (told.values[slot].lower() for slot in question.asked()):
                assert value in answer.lower(), (user, answer)


def test_there_are_many_details_and_each_is_said_in_many_ways() -> None:
    names = [detail.name for detail in details()]
    assert len(names) == len(set(names))
    for detail in details():
        assert len(detail.tell) > 5, detail.name
        assert len(detail.ack) > 3, detail.name
        assert detail.facts <= fact_kinds().keys(), detail.name
        for question in detail.questions:
            assert any(wording.startswith("*") for wording in question.ask), (detail.name, question.ask)


def test_held_out_wordings_and_values_never_come_up_in_training(drawn: list[Dialogue]) -> None:
    held = [(detail, each) for detail in details() for each in detail.questions if each.held_ask]
    text = "\n".join(message["content"].lower() for dialogue in drawn for message in dialogue.messages)
    assert len({detail.name for detail, _ in held}) >= len(details()) / 10
    for detail, question in held:
        assert not set(question.held_ask) & set(question.ask), detail.name
        for wording in question.held_ask:
            parts = re.split(r"\{[^}]*\}", wording.lower().rstrip("?."))
            assert not re.search(r"[^\n]+".join(map(re.escape, parts)), text), wording


def test_values_of_a_detail_differ_from_each_other_and_from_those_taken() -> None:
    for detail in details():
        told = with_values(detail, random.Random(3), {"Rosa", "Ben"})
        assert len(set(told.values.values())) == len(told.values), detail.name
        assert not {"Rosa", "Ben"} & set(told.values.values())


def test_a_told_detail_is_answered_and_its_fact_is_neither_told_nor_called_untold() -> None:
    for seed in range(60):
        talk = _talk(seed)
        tell_detail(talk)
        ask_detail(talk)
        (told,) = talk.details
        assert any(value.lower() in talk.turns[-1]["content"].lower() for value in told.values.values())
        assert set(told.values.values()) <= talk.values
        assert not {kind.name for kind in untold_kinds(talk)} & {*told.detail.facts, *told.values.values()}


def test_a_detail_that_was_not_told_is_not_made_up() -> None:
    for seed in range(60):
        talk = _talk(seed)
        ask_detail(talk)
        assert not talk.turns
        ask_untold_detail(talk)
        assert any(words in talk.turns[-1]["content"] for words in NOT_TOLD), talk.turns


def test_an_answer_speaks_of_the_user_as_you() -> None:
    assert to_second_person("why I was late for my train with us") == "why you were late for your train with you"
    assert "what you lent Ben" in {
        re.sub(r".*(what .*?)[.].*", r"\1", not_told(("*what I lent {name}",), random.Random(seed), lambda _: "Ben"))
        for seed in range(9)
    }


def test_a_fifth_of_the_dialogues_has_a_detail(drawn: list[Dialogue]) -> None:
    openings = {wording.split("{")[0].split("[")[0] for detail in details() for wording in detail.tell}
    known = tuple(opening.lower() for opening in openings if len(opening) > 11)
    users = [[m["content"].lower() for m in each.messages if m["role"] == "user"] for each in drawn]
    assert sum(any(text.startswith(known) for text in texts) for texts in users) > 0.1 * len(drawn)


@pytest.mark.parametrize("distance", [1, 5])
@pytest.mark.parametrize("held_wording", [True, False])
def test_a_held_out_detail_is_asked_for_so_many_turns_later(distance: int, held_wording: bool) -> None:
    for seed in range(20):
        probe = detail_probe(random.Random(seed), distance, held_wording=held_wording)
        users = [message["content"] for message in probe.messages if message["role"] == "user"]
        assert len(users) == distance + 1
        for value in probe.wanted:
            assert value.lower() in held_out_words()
            assert value.lower() in users[0].lower()
            assert value.lower() not in users[-1].lower()


@pytest.mark.parametrize("text", ["tell: Hi", "= a\nwhat: Hi", "= a\nsay: Hi", "= a\ntell: Hi\nack: Ho"])
def test_a_broken_file_of_details_is_told(text: str) -> None:
    with pytest.raises(DetailError):
        parse(text)
