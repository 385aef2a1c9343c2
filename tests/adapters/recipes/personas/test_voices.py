"""Whether replies are in voice, judged on replies of every kind."""

from __future__ import annotations

import pytest

from adapters.recipes.dialogues import dialogues
from adapters.recipes.personas.voices import RECOGNISERS, is_in_voice, prompts


@pytest.mark.parametrize(
    ("persona", "reply"),
    [
        ("pirate", "Yer dog is called Rex."),
        ("pirate", "Welcome aboard!"),
        ("poet", "It's Rex. / The moon is high, the night is deep, / and what you tell me I will keep."),
        ("poet", "The cat is black\nand has come back."),
        ("poet", "The day is bright, so fly your kite."),
        ("tutor", "It is four. And what is four plus four?"),
    ],
)
def test_a_reply_in_voice_is_known(persona: str, reply: str) -> None:
    assert is_in_voice(persona, reply)


@pytest.mark.parametrize(
    ("persona", "reply"),
    [
        ("pirate", "Your dog is called Rex. Could that be right?"),
        ("poet", "It's Rex. / The moon is high."),
        ("poet", "A tree / a tree"),
        ("tutor", "What is four plus four?"),
        ("tutor", "It is four."),
        ("poet", ""),
        ("tutor", ""),
    ],
)
def test_another_reply_is_not(persona: str, reply: str) -> None:
    assert not is_in_voice(persona, reply)


@pytest.mark.parametrize(("persona", "most"), [("pirate", 0.1), ("poet", 0.1), ("tutor", 0.5)])
def test_the_base_is_seldom_taken_for_the_persona(persona: str, most: float) -> None:
    replies = [m["content"] for dialogue in dialogues(99, 150) for m in dialogue.messages if m["role"] == "assistant"]
    assert sum(is_in_voice(persona, reply) for reply in replies) < most * len(replies)


def test_every_persona_has_ten_different_prompts() -> None:
    assert all(len(set(prompts(persona))) == 10 for persona in RECOGNISERS)


def test_a_persona_without_a_recogniser_is_an_error() -> None:
    with pytest.raises(KeyError):
        is_in_voice("ada", "Hello!")
