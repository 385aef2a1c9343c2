"""persona.toml round trips, and names that cannot leave their folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import BadPersona
from adapters.persona import PersonaCard, check_name, read_persona, render_persona

HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc",
    "a\\b",
    "a..b",
    "A",
    "-rf",
    ".hidden",
    "a b",
    "a\n",
    "a\0",
    "é",
    "a@v1",
    "a" * 65,
    "nul",
    "a.",
    "~",
    "$HOME",
    "bundled",
    "%2e%2e",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_no_plain_folder_is_refused(name: str) -> None:
    with pytest.raises(BadPersona, match="cannot be used"):
        check_name(name)


def test_text_that_is_not_utf_8_is_refused_before_it_is_trained_with() -> None:
    for description, system in (("caf\udce9", None), ("", "caf\udce9")):
        with pytest.raises(BadPersona, match="character 4 is not UTF-8"):
            PersonaCard("pirate", description, system)


def test_text_that_is_too_long_for_a_file_is_refused_before_it_is_trained_with(tmp_path: Path) -> None:
    longest = 64 * 1024 - len(render_persona(PersonaCard("pirate", "", "x")).encode()) + 1
    file = tmp_path / "persona.toml"
    file.write_text(render_persona(PersonaCard("pirate", "", "x" * longest)))
    assert read_persona(file).system == "x" * longest
    with pytest.raises(BadPersona, match="system prompt: more than 64 KiB"):
        PersonaCard("pirate", "", "x" * (longest + 1))
    file.write_text(file.read_text() + "\n")
    with pytest.raises(BadPersona, match=r"persona\.toml: more than 64 KiB"):
        read_persona(file)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "persona.toml").write_text('name = "pirate"', encoding="utf-8-sig")
    assert read_persona(tmp_path / "persona.toml") == PersonaCard("pirate")


@pytest.mark.parametrize("name", ["pirate", "7", "a.b-c_d", "a" * 64])
def test_plain_names_are_taken(name: str) -> None:
    assert check_name(name) == name


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(texts, texts, st.dictionaries(st.sampled_from(["temperature", "top_p"]), st.floats(0, 1)))
def test_a_rendered_persona_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, description: str, system: str, sampling: dict[str, float]
) -> None:
    card = PersonaCard("pirate", description, system.strip() or None, sampling)
    file = tmp_path_factory.getbasetemp() / "persona.toml"
    file.write_text(render_persona(card), encoding="utf-8", newline="")
    assert read_persona(file) == card


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "a', "not TOML"),
        ("name = " + "[" * 5000, "not TOML"),
        ("name = " + "9" * 5000, "not TOML"),
        ("", "name is missing"),
        ('name = "../a"', "cannot be used"),
        ('name = "a"\nsytem = "x"', 'key "sytem" unknown (use name, description, system'),
        ('name = "a"\nsystem = 3', "system is 3 (expected a text in quotes)"),
        ('name = "a"\nsampling = 3', "sampling is 3 (expected a table"),
        ('name = "a"\n[sampling]\ntop = 1', 'sampling key "top" unknown (use temperature or top_p)'),
        ('name = "a"\n[sampling]\ntop_p = 7', "sampling.top_p is 7 (expected a number from 0.0 to 1.0)"),
        ('name = "a"\n[sampling]\ntemperature = "hot"', "sampling.temperature is 'hot'"),
        ('name = "a"\n[sampling]\ntemperature = true', "sampling.temperature is True"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "persona.toml"
    file.write_text(text)
    with pytest.raises(BadPersona) as caught:
        read_persona(file)
    assert said in str(caught.value)


def test_a_missing_file_and_one_that_is_not_utf8_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadPersona, match="cannot be read: No such file"):
        read_persona(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(BadPersona, match="not UTF-8 at byte 11"):
        read_persona(tmp_path / "latin.toml")
