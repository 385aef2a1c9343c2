"""What must hold for every generated training dialogue."""

from __future__ import annotations

import random
import re

import pytest

from adapters.recipes.dialogues import Dialogue, dialogues
from adapters.recipes.dialogues.dialogue import remembering
from adapters.recipes.dialogues.facts import Fact, fact_kinds, to_first_person
from adapters.recipes.dialogues.frames import asking, telling
from adapters.recipes.dialogues.grammar import slots_of
from adapters.recipes.dialogues.inventions import INVENTORS
from adapters.recipes.dialogues.slot_values import parts_of_held_out
from adapters.recipes.dialogues.slots import held_out_words, slot_values
from adapters.recipes.dialogues.topics import TopicError, all_topics, every_exchange, parse
from chatbot.conversation.recalled import FOOT, HEAD


@pytest.fixture(scope="module")
def drawn() -> list[Dialogue]:
    return [*dialogues(11, 600), *_remembering(100)]


def test_the_same_seed_gives_the_same_dialogues(drawn: list[Dialogue]) -> None:
    assert list(dialogues(11, 20)) == drawn[:20]
    assert list(dialogues(11, 5, start=10)) == drawn[10:15]
    assert list(dialogues(12, 20)) != drawn[:20]


def test_every_dialogue_alternates_and_ends_with_the_assistant(drawn: list[Dialogue]) -> None:
    for dialogue in drawn:
        roles = [message["role"] for message in dialogue.messages]
        talk = roles[1:] if roles[0] == "system" else roles
        assert talk
        assert talk == ["user", "assistant"] * (len(talk) // 2)


def test_no_turn_is_empty_or_holds_an_unfilled_template(drawn: list[Dialogue]) -> None:
    for message in (message for dialogue in drawn for message in dialogue.messages):
        assert message["content"].strip()
        text = message["content"].replace(HEAD, "").replace(FOOT, "")
        assert not re.search(r"[{}\[\]|@]|<\|", text), message


def test_held_out_names_never_come_up_in_training(drawn: list[Dialogue]) -> None:
    text = " ".join(message["content"].lower() for dialogue in drawn for message in dialogue.messages)
    words = set(re.findall(r"[a-z]+", text))
    names = {name.lower() for slot in ("name", "petname") for name in slot_values()[slot].held_out}
    assert not names & words


def test_nobody_else_is_called_ada(drawn: list[Dialogue]) -> None:
    others = [each.messages for each in drawn if not any("Ada" in value for value in each.values)]
    others = [messages for messages in others if messages[0]["role"] == "system" and "Ada" not in str(messages[0])]
    assert len(others) > 200
    assert [m for messages in others for m in messages if re.search(r"(?i)\bada\b", m["content"])] == []


def test_a_dialogue_that_only_remembers_asks_for_what_was_told_in_most_turns() -> None:
    dialogues = _remembering(200)
    answers = [m["content"] for each in dialogues for m in each.messages if m["role"] == "assistant"]
    values = {value for each in dialogues for value in each.values}
    assert sum(any(value in answer for value in values) for answer in answers) > 0.6 * len(answers)
    assert sum(HEAD in each.messages[-2]["content"] for each in dialogues) > 0.6 * len(dialogues)


def test_no_value_is_both_for_training_and_held_out() -> None:
    for slot, values in slot_values().items():
        assert not set(values.training) & set(values.held_out), slot
    assert "mira" in held_out_words()


def test_held_out_wordings_are_not_among_the_training_wordings() -> None:
    for kind in fact_kinds().values():
        assert not set(kind.ask) & set(kind.held_ask), kind.name
        assert not set(kind.tell) & set(kind.held_tell), kind.name


def test_no_question_that_is_put_together_is_held_out() -> None:
    rng = random.Random(3)
    for kind in fact_kinds().values():
        held_out = {wording.lower() for wording in kind.held_ask}
        made = {asking(kind.noun, kind.clause, rng).lower() for _ in range(2000)}
        assert not made & held_out, kind.name
        assert len(made) > 150, kind.name


def test_no_telling_that_is_put_together_is_held_out() -> None:
    rng = random.Random(3)
    for kind in fact_kinds().values():
        held_out = {wording.lower() for wording in kind.held_tell}
        made = {telling(kind.noun, kind.clause, "{v}", rng).lower() for _ in range(1000)}
        assert all(text.count("{v}") == 1 for text in made), kind.name
        assert not made & held_out, kind.name
        assert len(made) > 90, kind.name


def test_every_fact_wording_that_needs_the_value_has_it() -> None:
    for kind in fact_kinds().values():
        for wording in (*kind.tell, *kind.held_tell, *kind.say, *kind.know, *kind.third):
            assert "v" in slots_of(wording), (kind.name, wording)
        assert not any(slots_of(wording) for wording in (*kind.ask, *kind.held_ask, *kind.unknown))


def test_an_answer_spells_a_value_as_it_was_told() -> None:
    rng = random.Random(4)
    for kind in (kind for kind in fact_kinds().values() if kind.slot != "surname"):
        assert all("teal" in Fact(kind, "teal").say(rng) for _ in range(50)), kind.name


def test_every_slot_of_every_topic_exists() -> None:
    known = set(slot_values()) | {"me"}
    for topic in all_topics():
        for exchange in every_exchange(topic):
            for template in (*exchange.users, *exchange.answers):
                assert {slot.split(".")[0] for slot in slots_of(template)} <= known, (topic.name, template)
                assert template.count("[") == template.count("]"), (topic.name, template)


def test_there_is_much_to_talk_about(drawn: list[Dialogue]) -> None:
    assert len(all_topics()) >= 60
    answers = [m["content"] for dialogue in drawn for m in dialogue.messages if m["role"] == "assistant"]
    assert max(map(answers.count, set(answers))) < 0.02 * len(answers)
    openings = {tuple(m["content"] for m in dialogue.messages) for dialogue in drawn}
    assert len(openings) == len(drawn)


def test_a_told_fact_reads_right_from_the_other_side() -> None:
    assert to_first_person("your dog is called Rex") == "my dog is called Rex"
    assert to_first_person("you are 30 years old") == "I am 30 years old"
    for kind in fact_kinds().values():
        for said in map(to_first_person, kind.know):
            assert re.match(r"my |I (?!are|were|has|is)", said), said
            assert not re.search(r"\byour?\b", said), said


def test_follow_ups_are_read_by_their_indentation() -> None:
    (topic,) = parse("= tea\nu Tea? ; Some tea?\na Yes!\n  u Milk?\n  a No.\nu Coffee?\na No.")
    assert [exchange.users for exchange in topic.openings] == [["Tea?", "Some tea?"], ["Coffee?"]]
    assert topic.openings[0].follow_ups[0].answers == ["No."]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("u Hello", "expected"), ("= a\na Hello", "before any user turn"), ("= a\nu Hi", "no answer")],
)
def test_a_broken_topic_file_is_told_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(TopicError, match=reason):
        parse(text, "x.txt")


def test_a_word_that_is_a_whole_value_elsewhere_begins_invented_ones_too() -> None:
    rng = random.Random(2)
    begun = {first for first, *rest in (INVENTORS["event"](rng).split() for _ in range(3000)) if rest}
    for slot in ("instrument", "color", "sport"):
        whole = {value for value in slot_values()[slot].training if value.isalpha()}
        assert len(begun & whole) > len(whole) / 2, slot


def test_nearly_any_word_ends_an_invented_value() -> None:
    rng = random.Random(2)
    ends = {rest[0] for _, *rest in (INVENTORS["event"](rng).split() for _ in range(20_000)) if rest}
    assert len(ends) > 1500
    assert parts_of_held_out() >= {"violin", "recital"}
    assert "recital" not in ends


def test_what_is_invented_of_several_is_a_plural() -> None:
    rng = random.Random(6)
    made = [INVENTORS[slot](rng) for slot in ("animals", "fruits", "blossoms") for _ in range(200)]
    assert [each for each in made if not re.search(r"[^s]s$", each) or re.search(r"[^aeiou]ys$", each)] == []


def test_no_invented_name_is_obscene() -> None:
    rng = random.Random(9)
    names = [INVENTORS["name"](rng) for _ in range(5000)]
    assert [each for each in names if re.search(r"(?i)fuck|shit|cunt|nigg|rape|slut|porn|bitch|nazi|dick$", each)] == []


def test_nothing_invented_is_held_out() -> None:
    rng = random.Random(5)
    for slot, inventor in INVENTORS.items():
        made = {inventor(rng).lower() for _ in range(300)}
        assert len(made) > 50, slot
        assert not made & held_out_words(), slot


def _remembering(count: int) -> list[Dialogue]:
    return [remembering(random.Random(number), 120) for number in range(count)]
