"""Every prompt gets its turn, every decoding row its token, and none more than its share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.base import EngineBusy
from chatbot.engine.scheduler import SMALLEST_CHUNK, Row, Scheduler, by_adapter
from chatbot.engine.slots import SlotTable


def _no_copy(source: int, target: int, length: int) -> None:
    raise AssertionError("nothing to copy here")


def _scheduler(slots: int = 4, *, max_waiting: int = 2, prefill_tokens: int = 64) -> Scheduler[Row]:
    return Scheduler(SlotTable(slots), max_waiting=max_waiting, prefill_tokens=prefill_tokens)


def _row(name: str, length: int, digest: str | None = None) -> Row:
    first = sum(map(ord, name)) * 1000
    return Row(session=name, prompt=list(range(first, first + length)), max_tokens=8, digest=digest)


def _compute(scheduler: Scheduler[Row]) -> dict[str, int]:
    """Do a step as the worker does and return how many tokens each session had computed."""
    step = scheduler.plan(_no_copy)
    computed = {}
    for row in step.decode:
        assert row.slot is not None
        row.slot.tokens.append(row.reply[-1])
        row.reply.append(0)
        computed[row.session] = 1
    for row, end in step.prefill:
        assert row.slot is not None
        computed[row.session] = end - row.computed
        row.slot.tokens.extend(row.prompt[row.computed : end])
        if end == len(row.prompt):
            row.reply.append(0)
            scheduler.began(row)
    return computed


def test_more_than_slots_and_queue_hold_is_refused() -> None:
    scheduler = _scheduler(2, max_waiting=1)
    for name in "abc":
        scheduler.submit(_row(name, 5))
    with pytest.raises(EngineBusy):
        scheduler.submit(_row("d", 5))
    _compute(scheduler)
    with pytest.raises(EngineBusy):
        scheduler.submit(_row("d", 5))


def test_rows_are_admitted_in_the_order_they_came() -> None:
    scheduler = _scheduler(1)
    first, second = _row("a", 5), _row("b", 5)
    scheduler.submit(first)
    scheduler.submit(second)
    assert _compute(scheduler) == {"a": 5}
    assert _compute(scheduler) == {"a": 1}
    scheduler.remove(first)
    assert _compute(scheduler) == {"b": 5}


def test_a_long_prompt_leaves_a_share_to_short_ones() -> None:
    scheduler = _scheduler(prefill_tokens=64)
    scheduler.submit(_row("long", 1000))
    scheduler.submit(_row("short", 10))
    assert _compute(scheduler) == {"long": 32, "short": 10}
    assert _compute(scheduler) == {"long": 64, "short": 1}


def test_prompts_take_turns_when_the_budget_is_too_small_for_all() -> None:
    scheduler = _scheduler(prefill_tokens=SMALLEST_CHUNK)
    for name in "abc":
        scheduler.submit(_row(name, 1000))
    assert [list(_compute(scheduler)) for _ in range(4)] == [["a"], ["b"], ["c"], ["a"]]


def test_a_cancelled_row_is_gone_at_the_next_step_and_its_slot_free() -> None:
    scheduler = _scheduler(1)
    row, waiting = _row("a", 5), _row("b", 5)
    scheduler.submit(row)
    scheduler.submit(waiting)
    _compute(scheduler)
    row.is_cancelled = True
    assert _compute(scheduler) == {"b": 5}
    waiting.is_cancelled = True
    assert _compute(scheduler) == {}
    assert not scheduler.has_work


def test_decoding_rows_come_sorted_by_slot() -> None:
    scheduler = _scheduler(3, prefill_tokens=200)
    for name, length in (("a", 190), ("b", 5), ("c", 5)):
        scheduler.submit(_row(name, length))
    for _ in range(5):
        _compute(scheduler)
    step = scheduler.plan(_no_copy)
    assert [row.slot.index for row in step.decode if row.slot] == [0, 1, 2]


def test_chunks_are_grouped_by_adapter() -> None:
    shares = [(_row("a", 5, "x"), 5), (_row("b", 5, None), 5), (_row("c", 5, "x"), 5)]
    assert [[row.session for row, _ in group] for group in by_adapter(shares)] == [["a", "c"], ["b"]]


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=6), budget=st.integers(SMALLEST_CHUNK, 200))
def test_no_step_exceeds_the_budget_and_every_prompt_is_computed_once(lengths: list[int], budget: int) -> None:
    scheduler = _scheduler(3, max_waiting=10, prefill_tokens=budget)
    rows = [_row(chr(65 + i), length) for i, length in enumerate(lengths)]
    for row in rows:
        scheduler.submit(row)
    prefilled = dict.fromkeys((row.session for row in rows), 0)
    for _ in range(200):
        if not scheduler.has_work:
            break
        deciding = {row.session for row in rows if row.is_decoding}
        computed = {name: count for name, count in _compute(scheduler).items() if name not in deciding}
        assert sum(computed.values()) <= budget
        for name, count in computed.items():
            prefilled[name] += count
        for row in rows:
            if row.slot is not None and len(row.reply) > 2:
                scheduler.remove(row)
    assert not scheduler.has_work
    assert prefilled == {row.session: len(row.prompt) for row in rows}
