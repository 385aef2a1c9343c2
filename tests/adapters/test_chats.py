"""Which chats are learned and which measured with, and what is told of those that are neither."""

from pathlib import Path

import pytest

from adapters.chats import Chats, read_chats
from adapters.labels import Labeller
from adapters.progress import Reporter
from adapters.validate import read_data

from .conftest import write_chats

CHATS = [[f"hi {number}", "arr"] for number in range(12)]
TOO_LONG = ["hi", "arr " * 100]


@pytest.fixture(scope="module")
def labeller(base: Path) -> Labeller:
    return Labeller(base)


def read(data: Path, labeller: Labeller, *, validation: Path | None = None, system: str | None = None) -> Chats:
    return read_chats(
        read_data([data]), read_data([validation]) if validation else None, system, labeller, 100, Reporter()
    )


def test_a_tenth_is_held_out(tmp_path: Path, labeller: Labeller) -> None:
    chats = read(write_chats(tmp_path / "a.jsonl", CHATS), labeller)
    assert (len(chats.training.examples), len(chats.validation.examples)) == (11, 1)
    assert chats.told().startswith("11 chats to learn from, 1 held out; ")


def test_chats_to_validate_on_that_are_learned_or_too_long_are_told(tmp_path: Path, labeller: Labeller) -> None:
    data = write_chats(tmp_path / "a.jsonl", CHATS)
    validation = write_chats(tmp_path / "b.jsonl", [*CHATS[:2], TOO_LONG, ["hi", "ahoy"]])
    chats = read(data, labeller, validation=validation)
    assert chats.told().startswith(
        "12 chats to learn from, 1 held out "
        "(2 of --val not held out, for they are learned from, 1 too long and dropped); "
    )
    assert chats.figures()["known"] == 2


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("You are Flint.", "other than the persona's, which is the one that the server sends"),
        (None, "the server sends none (give one of them as --system)"),
        ("You help.", None),
    ],
)
def test_chats_that_all_have_another_system_message_than_is_sent_are_told(
    tmp_path: Path, labeller: Labeller, system: str | None, said: str | None
) -> None:
    note = read(write_chats(tmp_path / "a.jsonl", CHATS, system="You help."), labeller).note(system)
    assert note is None if said is None else said in str(note)


def test_chats_without_a_system_message_are_learned_with_the_personas(tmp_path: Path, labeller: Labeller) -> None:
    data = write_chats(tmp_path / "a.jsonl", CHATS)
    with_persona, without = read(data, labeller, system="You are Flint."), read(data, labeller)
    assert with_persona.figures()["tokens"] > without.figures()["tokens"]
    assert with_persona.note("You are Flint.") is None


def test_a_chat_that_writes_the_personas_system_message_out_is_the_one_without(
    tmp_path: Path, labeller: Labeller
) -> None:
    system = "You are Flint."
    bare = write_chats(tmp_path / "bare.jsonl", CHATS)
    spelled = write_chats(tmp_path / "spelled.jsonl", CHATS, system=system)
    chats = read(spelled, labeller, validation=bare, system=system)
    assert (len(chats.validation.examples), chats.known) == (0, 12)
    both = tmp_path / "both.jsonl"
    both.write_bytes(bare.read_bytes() + spelled.read_bytes())
    chats = read(both, labeller, system=system)
    assert not set(chats.training.examples) & set(chats.validation.examples)
    assert (chats.distinct, chats.duplicates, len(chats.training.examples)) == (12, 12, 11)
