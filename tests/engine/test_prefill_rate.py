"""The measured rate follows the machine, whatever positions it was measured at."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.prefill_rate import FAR_OFF, PrefillRate, smoothed


def test_nothing_is_known_before_a_measurement() -> None:
    assert PrefillRate(1000).work_within(1) is None


def test_a_token_at_parity_costs_twice_the_first() -> None:
    rate = PrefillRate(1000)
    assert rate.work(0, 1) == pytest.approx(1, rel=1e-3)
    assert rate.work(1000, 1001) == pytest.approx(2, rel=1e-3)


def test_a_rate_measured_at_the_beginning_foretells_the_end_of_a_long_prompt() -> None:
    rate = PrefillRate(1000)
    rate.note(rate.work(0, 100), 0.01)
    work = rate.work_within(0.05)
    assert work is not None
    assert rate.tokens(0, work) == pytest.approx(430, abs=2)
    assert rate.tokens(4000, work) == pytest.approx(104, abs=1)


def test_a_change_of_pace_is_followed_within_ten_steps() -> None:
    rate = PrefillRate(math.inf)
    rate.note(100, 0.1)
    for _ in range(10):
        rate.note(100, 0.4)
    assert rate.work_within(1) == pytest.approx(250, rel=0.1)
    for _ in range(10):
        rate.note(100, 0.1)
    assert rate.work_within(1) == pytest.approx(1000, rel=0.1)


def test_one_step_that_took_for_ever_is_not_taken_at_its_word() -> None:
    assert smoothed(None, 1) == 1
    assert smoothed(1, 1000) <= FAR_OFF


@given(parity=st.floats(10, 1e6) | st.just(math.inf), start=st.integers(0, 100_000), count=st.integers(1, 10_000))
def test_tokens_and_work_are_inverse(parity: float, start: int, count: int) -> None:
    rate = PrefillRate(parity)
    work = rate.work(start, start + count)
    assert rate.tokens(start, work) == count
    assert rate.tokens(start, work * 0.999) <= count
