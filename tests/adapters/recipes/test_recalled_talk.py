"""Training with the recalled-memory block."""

from __future__ import annotations

import random

from adapters.recipes.dialogues import dialogues
from adapters.recipes.dialogues.probes import recalled_probe
from adapters.recipes.dialogues.slots import held_out_words
from chatbot.conversation.recalled import FOOT, HEAD


def test_the_block_stands_in_the_last_user_turn_only_as_in_a_real_prompt() -> None:
    with_block = 0
    for dialogue in dialogues(11, 300):
        users = [message["content"] for message in dialogue.messages if message["role"] == "user"]
        assert not any(HEAD in text for text in users[:-1])
        with_block += HEAD in users[-1]
    assert with_block > 20


def test_a_recalled_probe_has_its_answer_in_the_block_and_not_in_the_question() -> None:
    for seed in range(40):
        probe = recalled_probe(random.Random(seed), held_wording=seed % 2 == 0)
        block, question = probe.messages[-1]["content"].split(f"{FOOT}\n")
        assert probe.wanted[0].lower() in block.lower()
        assert probe.wanted[0].lower() not in question.lower()
        assert probe.wanted[0].lower() in held_out_words()
