"""Training with the recalled-memory block."""

from __future__ import annotations

import random
from datetime import datetime

from adapters.recipes.dialogues import Dialogue, dialogues
from adapters.recipes.dialogues.dialogue import remembering
from adapters.recipes.dialogues.memory_talk import new_fact
from adapters.recipes.dialogues.personas import Persona
from adapters.recipes.dialogues.probes import recalled_probe
from adapters.recipes.dialogues.recalled_talk import block, recalled_kinds
from adapters.recipes.dialogues.slots import held_out_words
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.typing_habits import TypingHabit
from chatbot.conversation.recalled import FOOT, HEAD


def test_the_block_stands_in_the_last_user_turn_only_as_in_a_real_prompt() -> None:
    with_block = 0
    for dialogue in dialogues(11, 300):
        users = [message["content"] for message in dialogue.messages if message["role"] == "user"]
        assert not any(HEAD in text for text in users[:-1])
        with_block += HEAD in users[-1]
    assert with_block > 20


def test_every_excerpt_is_of_a_day_that_exists() -> None:
    rng = random.Random(9)
    talk = Talk(rng, Persona.draw(rng), TypingHabit.draw(rng))
    facts = [new_fact(talk) for _ in range(40)]
    dates = {excerpt.day for _ in range(30) for excerpt in block(rng, facts)}
    assert all(datetime.strptime(f"{each} 2025", "%d %b %Y") for each in dates)
    assert {"31 Dec", "1 Jan"} <= dates


def test_most_blocks_hold_what_is_asked_for() -> None:
    rng = random.Random(6)
    recalled = [each for each in (remembering(rng, 60) for _ in range(500)) if HEAD in each.messages[-2]["content"]]
    told = [each for each in recalled if _copied_from_the_block(each)]
    assert 0.75 * len(recalled) < len(told) < 0.95 * len(recalled)


def test_what_is_recalled_beside_the_answer_is_often_of_its_kind() -> None:
    rng = random.Random(7)
    recalled = [recalled_kinds(Talk(rng, Persona.draw(rng), TypingHabit.draw(rng))) for _ in range(400)]
    assert all(len({kind.name for kind in kinds}) == len(kinds) for kinds in recalled)
    cities = [others for kind, *others in recalled if kind.slot == "city"]
    assert sum(any(other.slot == "city" for other in others) for others in cities) > 0.2 * len(cities)


def test_a_recalled_probe_has_its_answer_in_the_block_and_not_in_the_question() -> None:
    for seed in range(40):
        probe = recalled_probe(random.Random(seed), held_wording=seed % 2 == 0)
        block, question = probe.messages[-1]["content"].split(f"{FOOT}\n")
        assert probe.wanted[0].lower() in block.lower()
        assert probe.wanted[0].lower() not in question.lower()
        assert probe.wanted[0].lower() in held_out_words()


def _copied_from_the_block(dialogue: Dialogue) -> bool:
    asked, answer = (message["content"].lower() for message in dialogue.messages[-2:])
    block = asked.split(FOOT)[0]
    return any(value.lower() in block and value.lower() in answer for value in dialogue.values)
