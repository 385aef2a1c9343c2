from typing import Any

import pytest

from chatbot.protocol.errors import InvalidRequest
from chatbot.protocol.requests import ResponseCreate, check_supported, is_stream_id, validate


def create(**fields: Any) -> ResponseCreate:
    return validate(ResponseCreate, {"input": "hi", **fields})


def test_a_string_is_one_message_of_the_user() -> None:
    assert [(message.role, message.text) for message in create().messages] == [("user", "hi")]


def test_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert create(input=[{"role": "user", "content": parts}]).messages[0].text == "ab"


def test_unknown_fields_are_ignored() -> None:
    assert create(from_the_future=1).input == "hi"


def test_what_asks_for_nothing_unusual_is_taken() -> None:
    assert create(top_p=0).top_p == 0
    assert create(seed=-1).seed == -1
    assert create(user="").asks_for is None
    assert create(safety_identifier="", user="mira").asks_for == "mira"


def test_a_conversation_may_be_named_by_id_or_by_object() -> None:
    assert create(conversation="conv_1").conversation_id == "conv_1"
    assert create(conversation={"id": "conv_1"}).conversation_id == "conv_1"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"repetition_penalty": 1e-37}, "repetition_penalty"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": -(2**70)}, "max_output_tokens"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"metadata": {"user-id": 1}}, "metadata.user-id"),
        ({"metadata": {"str": 1, "my key": 1}}, "metadata.str"),
        ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 65),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"idempotency_key": 5}, "idempotency_key"),
        ({"input": 5}, "input"),
        ({"conversation": 3}, "conversation"),
        ({"conversation": {"id": 3}}, "conversation.id"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, None),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create(**fields)
    assert caught.value.code == "invalid_parameter"
    if param is not None:
        assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input": {"role": "user", "content": "hi"}}, "input: Input should be a valid string or a valid list, got"),
        ({"conversation": 5}, "conversation: Input should be a valid string or an object, got '5'"),
        ({"stop": ["a"] * 9}, "stop: List should have at most 8 items after validation, not 9, got"),
        ({"stop": ["a", 1]}, "stop.1: Input should be a valid string, got '1'"),
        ({"metadata": {"user-id": 1, "my key": 2}}, "metadata.user-id: Input should be a valid string, got '1'"),
    ],
)
def test_what_was_expected_is_all_that_is_allowed(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create(**fields)
    assert caught.value.message.startswith(expected)


def test_a_missing_input_is_said_to_be_missing() -> None:
    with pytest.raises(InvalidRequest, match="input") as caught:
        validate(ResponseCreate, {})
    assert caught.value.code == "missing_required_parameter"
    with pytest.raises(InvalidRequest) as caught:
        create(conversation={})
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "conversation.id")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"background": True, "store": False}, "unsupported_parameter"),
        ({"parent_item_id": "msg_1"}, "missing_required_parameter"),
        ({"conversation": "c", "previous_response_id": "r"}, "mutually_exclusive_parameters"),
        ({"conversation": "c", "store": False}, "unsupported_parameter"),
        ({"input": []}, "invalid_input"),
        ({"input": [{"role": "assistant", "content": "x"}]}, "invalid_input"),
        ({"input": "  \n"}, "empty_message"),
    ],
)
def test_what_cannot_be_honoured_is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_supported(create(**fields))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}}, "text.format.type"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"text": 5}, "text.format.type"),
        ({"generate": False}, "generate"),
        ({"truncation": "disabled"}, "truncation"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}, "include"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ],
)
def test_what_this_server_does_not_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(
        InvalidRequest, match=f"^{param}: .* is not supported by this server; .*leave it out$"
    ) as caught:
        create(**fields)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)


@pytest.mark.parametrize(
    "fields",
    [
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "max_tool_calls": 3},
        {"truncation": "auto", "top_logprobs": 0, "include": ["reasoning.encrypted_content"]},
        {"reasoning": {"effort": None, "summary": None}, "prompt": None, "stream_options": None},
        {"service_tier": "flex", "prompt_cache_key": "k", "generate": True},
    ],
)
def test_what_is_done_anyway_may_be_asked_for(fields: dict[str, Any]) -> None:
    check_supported(create(**fields))


def test_stream_ids_are_short_plain_names() -> None:
    assert is_stream_id("lane-1.a_B")
    assert not any(is_stream_id(bad) for bad in ("", "a b", "x" * 257, 3, "ü"))
