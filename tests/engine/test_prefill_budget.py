"""Prompts get as much time as the streams, more when nothing streams, and less after memory ran out."""

import math

import pytest

from chatbot.engine.prefill_budget import (
    ALONE_FACTOR,
    CALM_STEPS,
    SMALLEST_CHUNK,
    STREAM_SHARE,
    UNMEASURED_WORK,
    PrefillBudget,
)


def _budget(tokens_per_s: float | None = 1000) -> PrefillBudget:
    budget = PrefillBudget(math.inf, prefill_s=0.05, prefill_tokens=2048)
    if tokens_per_s:
        for is_streaming in (True, False):
            budget.note_prefill(tokens_per_s, 1, is_streaming=is_streaming)
    return budget


def test_the_first_step_is_a_guess() -> None:
    assert _budget(None).work(is_streaming=False) == UNMEASURED_WORK
    assert _budget(None).work(is_streaming=True) == SMALLEST_CHUNK


def test_streams_lose_nearly_as_much_time_as_they_take_themselves() -> None:
    budget = _budget()
    budget.note_decode(0.020)
    assert budget.work(is_streaming=True) == pytest.approx(20 * STREAM_SHARE)


def test_what_was_measured_without_streams_is_not_promised_beside_them() -> None:
    budget = _budget()
    budget.note_decode(0.020)
    for _ in range(20):
        budget.note_prefill(10_000, 1, is_streaming=False)
    assert budget.work(is_streaming=True) == pytest.approx(20 * STREAM_SHARE)


def test_streams_never_wait_longer_than_the_limit() -> None:
    budget = _budget()
    assert budget.work(is_streaming=True) == pytest.approx(50)
    budget.note_decode(3)
    assert budget.work(is_streaming=True) == pytest.approx(50)


def test_when_nothing_streams_prompts_get_more() -> None:
    budget = _budget()
    budget.note_decode(0.001)
    assert budget.work(is_streaming=False) == pytest.approx(ALONE_FACTOR * 50)


def test_lack_of_memory_halves_the_tokens_down_to_the_smallest_chunk() -> None:
    budget = _budget()
    budget.note_out_of_memory(1000)
    assert budget.most_tokens == 500
    assert budget.is_short_of_memory
    budget.note_out_of_memory(2000)
    assert budget.most_tokens == 500
    budget.note_out_of_memory(3)
    assert budget.most_tokens == SMALLEST_CHUNK


def test_after_calm_steps_more_is_tried_again() -> None:
    budget = _budget()
    budget.note_out_of_memory(2000)
    for _ in range(CALM_STEPS):
        assert budget.most_tokens == 1000
        budget.note_prefill(10, 0.01, is_streaming=False)
    assert budget.most_tokens == 2000
    for _ in range(CALM_STEPS):
        budget.note_prefill(10, 0.01, is_streaming=False)
    assert not budget.is_short_of_memory
