from hypothesis import given
from hypothesis import strategies as st

from storage.folding import fold, fold_stored


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_folded_in_the_database_as_elsewhere(text: str) -> None:
    assert fold_stored(text.encode()) == fold(text)


def test_all_spellings_of_a_text_are_one() -> None:
    assert {fold(text) for text in ("École STRASSE", "E\u0301COLE straße", "ÉCOLE Straße")} == {"école strasse"}
    assert fold("ПРИВЕТ") == fold("привет")
    assert fold("İSTANBUL, ISPARTA") == fold("istanbul, ısparta")
    assert fold("Μαΐου") == fold("Μαΐου".upper())


def test_what_is_missing_or_no_text_is_no_error() -> None:
    assert fold_stored(None) is None
    assert fold_stored(b"a\xffB") == "a\ufffdb"
