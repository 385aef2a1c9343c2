"""All tokens are found as if each were looked for, in the time that one takes."""

import re
from timeit import timeit

from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.token_pattern import token_pattern

WORDS = st.text("<a>", min_size=1, max_size=4)


@given(tokens=st.lists(WORDS, max_size=6), text=st.text("<a>", max_size=20))
def test_the_longest_token_is_found_at_each_place(tokens: list[str], text: str) -> None:
    longest_first = "|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or "(?!)"
    assert token_pattern(tokens).findall(text) == re.findall(longest_first, text)


def test_a_text_takes_no_longer_because_there_are_thousands_of_tokens() -> None:
    text = "<unused" * 2000
    one, many = token_pattern(["<unused>"]), token_pattern(f"<unused{i}>" for i in range(3000))
    assert timeit(lambda: many.search(text), number=5) < 20 * timeit(lambda: one.search(text), number=5)
