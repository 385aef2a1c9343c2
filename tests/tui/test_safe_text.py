"""Nothing that steers a terminal gets through, everything that people write does."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.safe_text import safe_line, safe_text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b]52;c;cm0gLXJm\x07ok", "]52;c;cm0gLXJmok"),
        ("\x1b[2Jgone", "[2Jgone"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("a\x9b31mb\x7fc", "a31mbc"),
        ("half \ud83d a pair", "half  a pair"),
        ("שלום 你好 👩‍🚀 é [b]", "שלום 你好 👩‍🚀 é [b]"),
    ],
)
def test_control_is_dropped_and_text_kept(written: str, shown: str) -> None:
    assert safe_text(written) == shown


@given(st.text())
def test_what_is_left_holds_no_control_characters(text: str) -> None:
    left = safe_text(text)
    assert not [c for c in left if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert safe_text(left) == left
    left.encode()


@given(st.text(), st.text())
def test_chunks_can_be_cleaned_one_by_one(first: str, second: str) -> None:
    assert safe_text(first) + safe_text(second) == safe_text(first + second)


def test_titles_are_one_line() -> None:
    assert safe_line(" a\n\tb\x1b ") == "a b"
