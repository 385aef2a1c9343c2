"""The translator's chats and test pairs."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

import pytest

from adapters.recipes.base.corpus import is_held_out
from adapters.recipes.personas import translator
from adapters.recipes.personas.translator import Pair, framed, is_asked_for, main, split
from adapters.recipes.personas.voices import is_in_voice


def test_it_writes_training_chats_and_test_pairs_that_do_not_touch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator, "PLAIN_CHATS", 5)
    nouns = [f"{first}{second}" for first in "bcdfghjklm" for second in ("at", "en", "ill", "od", "un", "ark", "ine")]
    for file in translator.LANGUAGES.values():
        both = [(one, two) for at, one in enumerate(nouns) for two in nouns[at + 1 : at + 10]]
        rows = [_row(f"The {one} sees my {two}.", f"le {one} voit mon {two}.") for one, two in both]
        (tmp_path / file).write_text("".join(rows), "utf-8")
    out = tmp_path / "out"
    main(["--corpus", str(tmp_path), "--out", str(out)])
    training = lzma.decompress((out / "data.jsonl.xz").read_bytes()).decode()
    test = [json.loads(line) for line in (out / "test.jsonl").read_text("utf-8").splitlines()]
    assert test
    assert {row["subset"] for row in test} == {"English to French", "English to Spanish"}
    for row in test:
        assert row["messages"][1]["content"] not in training
    assert sum("French" in line or "Spanish" in line for line in training.splitlines()) > 100


def test_test_pairs_are_held_out_and_have_no_near_duplicate_in_training() -> None:
    held = next(text for n in range(999) if is_held_out(text := f"we see dog {n} here"))
    near = Pair(held.replace("we", "we all"), "x", "French")
    pairs = [Pair(held, "y", "French"), Pair("a wholly other line", "z", "French"), near]
    training, test = split(pairs)
    assert near in training or is_held_out(near.english)
    assert all(is_held_out(pair.english) for pair in test)
    if near in training:
        assert not test


def test_no_sentence_that_the_prompts_ask_for_is_learned() -> None:
    training, _ = split([Pair("Where is the station?", "x", "French"), Pair("Where is the well?", "y", "French")])
    assert "Where is the station?" not in {pair.english for pair in training}
    assert not is_asked_for(Pair("Where is the well?", "y", "French"))


def test_every_wording_names_the_language_and_holds_the_sentence() -> None:
    pair = Pair("I am here.", "Je suis ici.", "French")
    for seed in range(60):
        text = framed(pair, random.Random(seed))
        assert "French" in text
        assert "I am here." in text


@pytest.mark.parametrize(
    ("reply", "is_foreign"),
    [("Je suis très fatigué.", True), ("¿Dónde está la estación?", True), ("I am here.", False), ("Hello!", False)],
)
def test_french_and_spanish_are_told_from_english(reply: str, is_foreign: bool) -> None:
    assert is_in_voice("translator", reply) is is_foreign


def _row(english: str, translation: str) -> str:
    turns = [("system", "Translate."), ("user", english), ("assistant", translation)]
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}) + "\n"
