"""The data files of the bundled personas, and the hand-written parts they are made of."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from adapters.persona import read_persona
from adapters.recipes.dialogues.slots import slot_values
from adapters.recipes.personas.__main__ import VOICES, main
from adapters.recipes.personas.chats import PARTS, RECALL_CHATS, TURN, as_line, chats, hand_written, has_prompt
from adapters.recipes.personas.recall import read_facts
from adapters.recipes.personas.retold import NOW
from adapters.recipes.personas.sentences import words
from adapters.recipes.personas.voices import is_in_voice, prompts

PERSONAS = Path(__file__).parents[4] / "adapters" / "personas"


@pytest.mark.parametrize("name", VOICES)
def test_a_persona_has_many_hand_written_chats_that_alternate_and_differ(name: str) -> None:
    written = hand_written((PARTS / f"{name}.txt").read_text("utf-8"))
    assert len(written) >= 300
    assert all(len(turns) % 2 == 0 and all(turns) and turns[0] for turns in written)
    assert len({TURN.join(turns) for turns in written}) == len(written)
    replies = Counter(reply for turns in written for reply in turns[1::2])
    assert replies.most_common(1)[0][1] <= 2


@pytest.mark.parametrize("name", ["poet", "tutor"])
def test_the_hand_written_replies_are_in_voice(name: str) -> None:
    parts = ((PARTS / f"{name}{part}.txt").read_text("utf-8") for part in ("", "_filler"))
    replies = [reply for part in parts for turns in hand_written(part) for reply in turns[1::2]]
    assert [reply for reply in replies if not is_in_voice(name, reply)] == []


@pytest.mark.parametrize("name", VOICES)
def test_every_fact_is_told_answered_asked_for_and_given_back(name: str) -> None:
    facts = read_facts((PARTS / f"{name}_recall.txt").read_text("utf-8"))
    assert set(facts) <= set(slot_values())
    for slot, wordings in facts.items():
        assert set(wordings) == set("tkqs"), slot
        assert all("{v}" in text for key in "tks" for text in wordings[key]), slot
        assert not any("{v}" in text for text in wordings["q"]), slot


@pytest.mark.parametrize("name", VOICES)
def test_the_same_parts_give_the_same_chats_without_held_out_names(name: str) -> None:
    some = list(islice(chats(VOICES[name]), 800))
    assert some == list(islice(chats(VOICES[name]), 800))
    recalled = set(re.findall(r"[a-z]+", " ".join(" ".join(turns) for turns in some[500:]).lower()))
    assert not recalled & {value.lower() for slot in ("name", "petname") for value in slot_values()[slot].held_out}


@pytest.mark.parametrize("name", VOICES)
def test_no_chat_has_a_prompt_on_which_the_voice_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.recipes.personas.chats.RETOLD_CHATS", 300)
    measured = {" ".join(words(prompt)) for prompt in prompts(name)}
    said = {" ".join(words(said.rpartition(NOW)[2])) for turns in chats(VOICES[name]) for said in turns[::2]}
    assert not said & measured


def test_a_prompt_is_known_in_any_capitals_and_behind_recalled_messages() -> None:
    assert has_prompt("pirate", ["hi", "Ahoy!", f"user, 3 May: I am Ben. {NOW} tell me a joke", "Arr!"])
    assert not has_prompt("pirate", ["hi", "Tell me a joke.", "tell me a joke about cats", "Arr!"])


def test_a_chat_is_a_line_of_messages_user_first() -> None:
    assert json.loads(as_line(["hi", "Ahoy — matey!"])) == {
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Ahoy — matey!"}]
    }


def test_the_command_writes_the_file_of_the_persona_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.recipes.personas.chats.RETOLD_CHATS", 30)
    main(["poet", "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["poet"]
    with pytest.raises(SystemExit):  # the shipped files stay unless their folder is given
        main(["poet"])
    lines = lzma.decompress((tmp_path / "poet" / "data.jsonl.xz").read_bytes()).decode().splitlines()
    assert lines == [as_line(turns).rstrip("\n") for turns in chats(VOICES["poet"])]
    assert len(lines) > 300 + RECALL_CHATS + 30


@pytest.mark.parametrize("name", VOICES)
def test_a_persona_has_a_card_that_says_who_it_is(name: str) -> None:
    card = read_persona(PERSONAS / name / "persona.toml")
    assert card.name == name
    assert VOICES[name].speaker in (card.system or "")
    assert card.description
