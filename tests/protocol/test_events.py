from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.protocol import events
from storage.records import INTERRUPTED, Response

PIECES = st.lists(st.text(min_size=1, max_size=5), max_size=8)


def settled(pieces: list[str], state: str = "completed", **fields: object) -> Response:
    response = Response(
        id="resp_1",
        conversation_id="conv_1",
        previous_response_id=None,
        input_item_ids=("msg_1",),
        output_item_id="msg_2",
        model="fake",
        request={},
        state="completed",
        created_at=1,
        completed_at=2,
        text="".join(pieces),
        delta_lengths=tuple(len(piece) for piece in pieces),
    )
    return replace(response, state=state, **fields)  # type: ignore[arg-type]


def test_the_sequence_is_that_of_the_responses_api() -> None:
    assert [event["type"] for event in events.replay(settled(["Hel", "lo"]), -1)] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@given(PIECES)
def test_numbers_count_from_zero_and_deltas_make_the_text(pieces: list[str]) -> None:
    stream = events.replay(settled(pieces), -1)
    assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
    assert [event["delta"] for event in stream if "delta" in event] == pieces
    assert stream[-1]["response"]["output"][0]["content"][0]["text"] == "".join(pieces)


@given(PIECES, st.data())
def test_a_reader_that_resumes_anywhere_misses_nothing_and_repeats_nothing(
    pieces: list[str], data: st.DataObject
) -> None:
    response = settled(pieces)
    whole = events.replay(response, -1)
    seen = data.draw(st.integers(-1, len(whole) - 2))
    assert whole[: seen + 1] + events.replay(response, seen) == whole


@given(PIECES, st.integers(0, 20))
def test_a_reader_that_saw_more_than_a_crash_left_still_gets_the_end(pieces: list[str], more: int) -> None:
    crashed = settled(pieces, "incomplete", incomplete_reason=INTERRUPTED)
    seen = events.OPENING_EVENTS + len(pieces) + more
    rest = events.replay(crashed, seen)
    assert [event["sequence_number"] for event in rest] == list(range(seen + 1, seen + 5))
    assert rest[0]["text"] == "".join(pieces)
    assert rest[-1]["type"] == "response.incomplete"


@given(PIECES, st.integers(0, 20))
def test_a_reader_that_missed_nothing_gets_the_end_again(pieces: list[str], more: int) -> None:
    whole = events.replay(settled(pieces), -1)
    assert events.replay(settled(pieces), len(whole) - 1 + more) == whole[-1:]


def test_what_a_reader_has_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    response = settled(["x", "y"])
    whole = events.replay(response, -1)
    assert events.last(response) == whole[-1]
    monkeypatch.setattr(events, "opening", pytest.fail)
    monkeypatch.setattr(events, "delta", pytest.fail)
    assert events.replay(response, 5) == whole[6:]


def test_each_end_has_its_terminal_event() -> None:
    ends = {"completed": "completed", "cancelled": "incomplete", "incomplete": "incomplete", "failed": "failed"}
    for state, name in ends.items():
        last = events.replay(settled(["x"], state), -1)[-1]
        assert (last["type"], last["response"]["status"]) == (f"response.{name}", state)


def test_a_response_has_every_key_that_the_open_responses_schema_requires() -> None:
    required = """id object created_at completed_at status incomplete_details model previous_response_id instructions
        output error tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty
        top_logprobs temperature reasoning user usage max_output_tokens max_tool_calls store background service_tier
        metadata safety_identifier prompt_cache_key"""
    assert set(required.split()) <= set(events.replay(settled(["x"]), -1)[-1]["response"])
