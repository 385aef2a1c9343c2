import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.protocol.errors import InvalidRequest
from chatbot.protocol.frames import MAX_DEPTH, parse_object, storable

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
values = st.recursive(
    scalars | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(texts, values, max_size=4))
def test_any_storable_object_comes_back_as_it_was_sent(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value)) == value


@given(st.text(), st.binary())
def test_anything_else_gives_a_typed_error_and_nothing_worse(text: str, data: bytes) -> None:
    for raw in (text, data):
        try:
            parse_object(raw)
        except InvalidRequest as error:
            assert error.code == "invalid_json"


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object, got list"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e999}', "out of range"),
        ('{"a": 1, "a": 2}', "'a' appears twice"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_a_bad_frame_is_told_what_is_wrong_with_it(frame: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        parse_object(frame)


def test_lone_surrogates_and_nul_become_replacement_characters() -> None:
    assert parse_object(r'{"a\ud800": "x\udfff\u0000y"}') == {"a�": "x��y"}


@given(st.text(st.characters()))
def test_storable_text_can_be_encoded_and_keeps_everything_else(text: str) -> None:
    clean = storable(text)
    assert (clean.encode() and "\x00" not in clean) or not text
    assert storable(clean) == clean
