"""The questions the evaluation asks, and how the card tells its figures."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from adapters.recipes.base.card import card, main
from adapters.recipes.dialogues.probes import persona_probe, recall_probe, together_probe, untold_probe
from adapters.recipes.dialogues.slots import held_out_words, slot_values
from chatbot.engine.digest import model_digest

SHIPPED = Path(__file__).parents[3] / "chatbot" / "base_model"


@pytest.mark.parametrize("distance", [1, 4, 12])
@pytest.mark.parametrize("held_wording", [True, False])
def test_a_held_out_value_is_asked_for_so_many_turns_later(distance: int, held_wording: bool) -> None:
    for seed in range(20):
        probe = recall_probe(random.Random(seed), distance, held_wording=held_wording)
        users = [message["content"] for message in probe.messages if message["role"] == "user"]
        (value,) = probe.wanted
        assert len(users) == distance + 1
        assert value.lower() in held_out_words()
        assert value.lower() in users[0].lower()
        assert value.lower() not in users[-1].lower()


@pytest.mark.parametrize("distance", [1, 5])
def test_two_held_out_values_are_told_at_once_and_one_is_asked_for_later(distance: int) -> None:
    for seed in range(20):
        probe = together_probe(random.Random(seed), distance)
        users = [message["content"].lower() for message in probe.messages if message["role"] == "user"]
        (value,) = probe.wanted
        assert len(users) == distance + 1
        assert value.lower() in users[0]
        assert value.lower() not in users[-1]
        assert sum(word in users[0] for word in held_out_words()) >= 2


def test_a_persona_is_asked_for_a_name_that_training_never_had() -> None:
    for seed in range(20):
        probe = persona_probe(random.Random(seed))
        assert probe.wanted[0] in slot_values()["bot"].held_out
        assert probe.wanted[0] in probe.messages[0]["content"]


def test_what_was_never_told_is_asked_for_last() -> None:
    probe = untold_probe(random.Random(4))
    assert probe.messages[-1]["role"] == "user"
    assert "don't know" in probe.wanted


def test_the_card_tells_figures_of_these_weights_from_the_files_and_nothing_of_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = {
        "command": "python -m adapters.recipes.base --out DIR",
        "note": "A note.",
        "parameters": 1234567,
        "shape": {"hidden": 8, "kv_heads": 1},
        "steps": 10,
        "tokens": 2_500_000,
        "seconds": 600,
        "machine": "2 CPU threads",
        "curve": [{"stage": "chat", "loss": 2.5}, {"stage": "chat", "loss": 0.25}],
        "samples": [[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hi!"}]],
    }
    miss = {"set": "recall", "asked": "What is my name?", "wanted": "Ayla", "got": "Alya."}
    base = {"right": {"recall": 0.9}, "stops_itself": 1.0, "control_tokens": 0, "distinct_1": 0.5, "distinct_2": 0.75}
    shown = {"messages": [{"role": "user", "content": "ahoy"}], "reply": "Arr!"}
    persona = {"voice": 0.9, "voice_of_base": 0.1, "drop": {"recall": 0.04}, "replies": [shown]}
    scores = {"to French": {"bleu": 12.5, "chrf": 30.1, "count": 200}}
    evaluation = {
        "digest": model_digest(tmp_path),
        "count": 50,
        "base": base | {"misses": [miss]},
        "personas": {"pirate@v1": persona | {"translation": scores}},
        "perplexity": {"stories.txt": 12.34},
        "prompts": [shown],
        "remarks": {"questions": "Too easy.", "perplexity": "Too low.", "personas": "Too few."},
    }
    (tmp_path / "training.json").write_text(json.dumps(training), "utf-8")
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation), "utf-8")
    (tmp_path / "transcripts.md").write_text("## Talks\n\nYou: hello there\n", "utf-8")
    text = card(tmp_path)
    for expected in (
        *("1,234,567", "| recall | 90% |", "Alya.", "A note.", "Too easy."),
        "| 1 | 2.5 M | 10 | 10 min | 2 CPU threads | 4,167 | 2.50 → 0.25 |",
        *(
            "| stories.txt | 12.3 |\n\nToo low.\n",
            "| pirate@v1 | 90% | 10% | -4 |\n\nToo few.\n",
            "<details><summary>Misses, up to two a row, unedited</summary>\n\n- recall: ",
            "BLEU 12.5",
            "assistant: Arr!",
            "You: hello there",
        ),
    ):
        assert expected in text
    assert str(tmp_path) not in text
    assert not capsys.readouterr().err
    (tmp_path / "model.safetensors").write_bytes(b"new weights")
    assert "| recall |" not in card(tmp_path)
    assert "evaluation.json: left out of the card, for it is of other weights" in capsys.readouterr().err


def test_the_shipped_card_is_that_of_the_files_beside_it() -> None:
    assert card(SHIPPED) == (SHIPPED / "README.md").read_text("utf-8")


def test_a_note_stays_when_the_card_is_made_again(tmp_path: Path) -> None:
    for name in ("training.json", "evaluation.json", "transcripts.md"):
        shutil.copy(SHIPPED / name, tmp_path / name)
    main([str(tmp_path), "--note", "It was a rainy day."])
    main([str(tmp_path)])
    assert "- It was a rainy day.\n" in (tmp_path / "README.md").read_text("utf-8")
