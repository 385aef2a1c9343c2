"""A request of Chat Completions is a turn that is not stored, and its reply comes in OpenAI's form."""

from typing import Any

import pytest

from chatbot.protocol.chat_completions import ChatCompletionCreate, completion, last_chunks
from chatbot.protocol.errors import InvalidRequest, ServerFault
from chatbot.protocol.requests import validate
from storage.records import Response

HI = {"role": "user", "content": "hi"}


def turn_of(**body: Any) -> dict[str, Any]:
    request = validate(ChatCompletionCreate, {"messages": [HI], **body}).as_turn()
    return request.model_dump(exclude_none=True, exclude={"input"})


def ended(**how: Any) -> Response:
    row: dict[str, Any] = {
        "id": "resp_1",
        "conversation_id": "conv_1",
        "previous_response_id": None,
        "input_item_ids": ("msg_1",),
        "output_item_id": "msg_2",
        "model": "pirate",
        "request": {},
        "state": "completed",
        "created_at": 1,
        "completed_at": 2,
        "text": "Arr",
        "delta_lengths": (3,),
    }
    return Response(**row | how)


def test_instructions_at_the_beginning_are_those_of_the_turn_and_later_ones_are_messages() -> None:
    messages = [
        {"role": "system", "content": "You are Ada."},
        {"role": "developer", "content": "Be brief."},
        HI,
        {"role": "assistant", "content": None},
        {"role": "system", "content": "It is night."},
        {"role": "user", "content": [{"type": "text", "text": "still "}, {"type": "text", "text": "there?"}]},
    ]
    turn = validate(ChatCompletionCreate, {"messages": messages}).as_turn()
    assert turn.instructions == "You are Ada.\n\nBe brief."
    assert [(each.role, each.text) for each in turn.messages] == [
        ("user", "hi"),
        ("assistant", ""),
        ("system", "It is night."),
        ("user", "still there?"),
    ]


def test_what_is_asked_for_goes_into_the_turn_which_is_not_stored() -> None:
    assert turn_of() == {"store": False}
    asked = {"model": "pirate", "temperature": 0.5, "top_k": 3, "stop": ["END"], "seed": 7, "user": "mira"}
    assert turn_of(**asked) == {**asked, "store": False}


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
    ],
)
def test_the_newer_name_of_the_limit_goes_first(given: dict[str, int], most: int) -> None:
    assert turn_of(**given) == {"max_output_tokens": most, "store": False}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "system", "content": "You are Ada."}],
        [HI, {"role": "assistant", "content": "hello"}],
        [{"role": "user", "content": "  "}],
    ],
)
def test_a_chat_ends_with_the_user(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequest, match="ends with a message of the user") as refused:
        validate(ChatCompletionCreate, {"messages": messages}).as_turn()
    assert refused.value.param == "messages"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"n": [1]}, "n"),
        ({"n": []}, "n"),
        ({"logit_bias": []}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "call_1"}]}, HI]}, "messages.0.tool_calls"),
        ({"messages": [HI, {"role": "assistant", "function_call": {}}, HI]}, "messages.1.function_call"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"store": True}, "store"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "tool", "content": "4"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0.type"),
    ],
)
def test_what_is_not_done_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(ChatCompletionCreate, {"messages": [HI], **given})
    assert refused.value.param == param


def test_what_clients_send_without_meaning_anything_by_it_is_let_pass() -> None:
    usual = {"n": 1, "logprobs": False, "tools": [], "tool_choice": "auto", "response_format": {"type": "text"}}
    answered = [HI, {"role": "assistant", "content": "hello", "tool_calls": [], "audio": None}, HI]
    assert turn_of(messages=answered, modalities=["text"]) == {"store": False}
    assert turn_of(**usual, logit_bias={}, stream_options={"include_usage": True}) == {"store": False}


@pytest.mark.parametrize(
    ("how", "reason"),
    [({}, "stop"), ({"state": "incomplete", "incomplete_reason": "max_output_tokens"}, "length")],
)
def test_a_reply_says_why_it_ended(how: dict[str, Any], reason: str) -> None:
    (choice,) = completion(ended(**how))["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Arr", reason)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (
            {"state": "failed", "error_code": "generation_failed", "error_message": "the model failed"},
            "generation_failed",
        ),
        ({"state": "incomplete", "incomplete_reason": "server_restart"}, "server_restart"),
        ({"state": "cancelled"}, "cancelled"),
    ],
)
def test_a_reply_that_was_cut_off_is_an_error(how: dict[str, Any], code: str) -> None:
    with pytest.raises(ServerFault) as told:
        completion(ended(**how))
    assert told.value.code == code
    with pytest.raises(ServerFault):
        last_chunks(ended(**how), includes_usage=False)
