"""Delta lengths survive packing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.delta_lengths import decode, encode


@given(st.lists(st.integers(min_value=0) | st.integers(min_value=0, max_value=300)))
def test_decode_gives_back_what_was_encoded(lengths: list[int]) -> None:
    assert decode(encode(lengths)) == tuple(lengths)


@given(st.lists(st.integers(min_value=0, max_value=127)))
def test_a_usual_delta_takes_one_byte(lengths: list[int]) -> None:
    assert len(encode(lengths)) == len(lengths)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        encode([3, -1])


def test_a_blob_that_stops_inside_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="cut short"):
        decode(encode([5, 300])[:-1])
