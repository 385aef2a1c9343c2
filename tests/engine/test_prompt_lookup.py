"""A draft is what followed the same tokens before."""

from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.prompt_lookup import PromptLookup

TOKENS = st.lists(st.integers(0, 3), max_size=60)


def _lookup(prompt: list[int], reply: list[int]) -> PromptLookup:
    lookup = PromptLookup(prompt)
    for token in reply:
        lookup.push(token)
    return lookup


@given(prompt=TOKENS, reply=TOKENS, most=st.integers(1, 9))
def test_a_draft_is_a_continuation_that_really_occurred(prompt: list[int], reply: list[int], most: int) -> None:
    tokens = prompt + reply
    draft = _lookup(prompt, reply).draft(most)
    earlier = [i for i in range(2, len(tokens)) if tokens[i - 2 : i] == tokens[-2:]]
    assert bool(draft) == bool(earlier)
    assert not draft or draft in [tokens[i : i + most] for i in earlier]


@given(prompt=TOKENS, reply=TOKENS, token=st.integers(0, 3))
def test_it_tells_whether_the_token_that_came_was_the_drafted_one(
    prompt: list[int], reply: list[int], token: int
) -> None:
    lookup = _lookup(prompt, reply)
    draft = lookup.draft(1)
    assert lookup.push(token) == (draft[0] == token if draft else None)


def test_the_latest_place_is_read_first() -> None:
    assert PromptLookup([1, 2, 3, 9, 1, 2, 4, 9, 1, 2]).draft(3) == [4, 9, 1]


def test_three_equal_tokens_are_surer_than_two() -> None:
    assert PromptLookup([7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2]).draft(2) == [3, 8]


def test_a_quote_is_read_on_where_it_was_right() -> None:
    lookup = _lookup([5, 1, 2, 3, 1, 2, 8, 6, 9, 5], [1, 2])
    assert lookup.draft(2) == [3, 1]
    lookup.push(3)
    lookup.push(1)
    lookup.push(2)
    assert lookup.draft(3) == [8, 6, 9]


def test_nothing_is_expected_of_what_is_new() -> None:
    lookup = PromptLookup([])
    assert [lookup.push(token) for token in (1, 2, 3)] == [None, None, None]
    assert lookup.draft(5) == []
