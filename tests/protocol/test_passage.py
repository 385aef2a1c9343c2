from hypothesis import given
from hypothesis import strategies as st

from chatbot.protocol.passage import PASSAGE_CHARS, passage


def test_a_short_text_is_shown_whole() -> None:
    assert passage("My  sister\nsails.", ["sister"]) == "My sister sails."


def test_a_long_one_from_a_word_before_the_first_that_was_found() -> None:
    text = f"{'before ' * 40}my sister sails{' after' * 40}"
    shown = passage(text, ["sails", "SISTER"])
    assert shown.startswith("…before before before my sister sails after")
    assert shown.endswith("…")


@given(text=st.text(), words=st.lists(st.text(min_size=1), max_size=4))
def test_it_is_a_part_of_the_text_on_one_line(text: str, words: list[str]) -> None:
    shown = passage(text, words)
    assert len(shown) <= PASSAGE_CHARS + 2
    assert shown.removeprefix("…").removesuffix("…") in " ".join(text.split()) or "…" in text


@given(before=st.text(alphabet="abc ", max_size=300), after=st.text(alphabet="abc ", max_size=300))
def test_what_was_searched_for_is_in_it(before: str, after: str) -> None:
    assert "sister" in passage(f"{before} Sister {after}", ["sister"]).lower()
