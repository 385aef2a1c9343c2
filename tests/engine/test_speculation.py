"""Drafts are shared out only while the rows together gain by them."""

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.speculation import LONGEST_WAIT, MOST_DRAFTED, Prospect, share_drafts

PROSPECTS = st.lists(st.builds(Prospect, st.integers(1, 20), st.floats(0, 1)), min_size=1, max_size=8)


def _line(jump: float, slope: float) -> Callable[[int], float]:
    return lambda drafted: jump + slope * drafted


def _speeds(prospects: list[Prospect], lengths: list[int], ratio: Callable[[int], float]) -> list[float]:
    """Return each row's expected tokens in the time of a plain step."""
    wait = ratio(sum(lengths)) if any(lengths) else 1
    return [
        sum(prospect.chance**i for i in range(length + 1)) / wait
        for prospect, length in zip(prospects, lengths, strict=True)
    ]


@given(prospects=PROSPECTS, others=st.integers(0, 8), jump=st.floats(1, 2), slope=st.floats(0, 0.3))
def test_rows_together_only_win_and_none_waits_long(
    prospects: list[Prospect], others: int, jump: float, slope: float
) -> None:
    ratio = _line(jump, slope)
    lengths = share_drafts(prospects, len(prospects) + others, ratio)
    assert all(length <= min(one.length, MOST_DRAFTED) for length, one in zip(lengths, prospects, strict=True))
    prospects, lengths = [*prospects, *[Prospect(1, 0.5)] * others], [*lengths, *[0] * others]
    speeds = _speeds(prospects, lengths, ratio)
    assert math.prod(speeds) > 1.02 or not any(lengths)
    assert all(speed >= 1 / LONGEST_WAIT - 1e-9 for speed, length in zip(speeds, lengths, strict=True) if not length)


@given(chance=st.floats(0, 1), jump=st.floats(1, 1.5), slope=st.floats(0.01, 0.3))
def test_a_row_alone_gets_a_draft_about_as_good_as_the_best(chance: float, jump: float, slope: float) -> None:
    prospects, ratio = [Prospect(MOST_DRAFTED, chance)], _line(jump, slope)
    (length,) = share_drafts(prospects, 1, ratio)
    (speed,) = _speeds(prospects, [length], ratio)
    assert speed * 1.04 >= max(_speeds(prospects, [other], ratio)[0] for other in range(MOST_DRAFTED + 1))


def test_what_is_free_is_drafted_to_its_end_and_what_is_hopeless_not_at_all() -> None:
    assert share_drafts([Prospect(7, 0.9), Prospect(99, 0.9)], 2, _line(1, 0)) == [7, MOST_DRAFTED]
    assert share_drafts([Prospect(7, 0.0)], 1, _line(1, 0)) == [0]
    assert share_drafts([Prospect(7, 1.0)], 1, _line(30, 0)) == [0]


def test_a_likelier_draft_is_longer() -> None:
    short, long = share_drafts([Prospect(16, 0.5), Prospect(16, 0.95)], 2, _line(1.2, 0.03))
    assert 0 < short < long


def test_one_that_quotes_does_not_slow_down_many_that_talk() -> None:
    quoting = Prospect(16, 0.95)
    ratio = _line(1.2, 0.03)
    assert share_drafts([quoting], 1, ratio) > [4]
    assert share_drafts([quoting], 8, ratio) == [0]
    assert all(share_drafts([quoting] * 8, 8, ratio))
