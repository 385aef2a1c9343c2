"""Every prompt gets its turn, every decoding row its token, and none more than its share."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.prefill_budget import SMALLEST_CHUNK, PrefillBudget
from chatbot.engine.scheduler import Row, Scheduler, by_adapter
from chatbot.engine.slots import SlotTable


def _no_copy(source: int, target: int, length: int) -> None:
    raise AssertionError("nothing to copy here")


def _scheduler(
    slots: int = 4,
    *,
    prefill_tokens: int = 64,
    most_tokens: int | None = None,
    parity: float = math.inf,
) -> Scheduler[Row]:
    """Return a scheduler whose steps may compute `prefill_tokens` beside streams, and no more without them."""
    budget = PrefillBudget(parity, prefill_s=1, prefill_tokens=most_tokens or prefill_tokens)
    for is_streaming in (True, False):
        budget.note_prefill(prefill_tokens, 1, is_streaming=is_streaming)
    return Scheduler(SlotTable(slots), budget)


def _row(name: str, length: int, digest: str | None = None, *, user: str | None = None) -> Row:
    first = sum(map(ord, name)) * 1000
    return Row(session=name, user=user, prompt=list(range(first, first + length)), max_tokens=8, digest=digest)


def _submit(scheduler: Scheduler[Row], rows: Sequence[Row]) -> None:
    for row in rows:
        scheduler.submit(row)


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
    assert _compute(scheduler) == {"long": 54, "short": 10}
    assert _compute(scheduler) == {"long": 64, "short": 1}


def test_prompts_take_turns_when_the_budget_is_too_small_for_all() -> None:
    scheduler = _scheduler(prefill_tokens=SMALLEST_CHUNK)
    for name in "abc":
        scheduler.submit(_row(name, 1000))
    assert [list(_compute(scheduler)) for _ in range(4)] == [["a"], ["b"], ["c"], ["a"]]


def test_a_cancelled_row_is_told_and_once_it_is_removed_its_slot_is_free() -> None:
    scheduler = _scheduler(1)
    row, waiting = _row("a", 5), _row("b", 5)
    scheduler.submit(row)
    scheduler.submit(waiting)
    _compute(scheduler)
    assert scheduler.cancelled == []
    row.is_cancelled = True
    assert scheduler.cancelled == [row]
    scheduler.remove(row)
    assert _compute(scheduler) == {"b": 5}
    scheduler.remove(waiting)
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


def test_a_crowd_of_one_user_delays_another_by_one_admission() -> None:
    scheduler = _scheduler(1)
    crowd = [_row(f"crowd {i}", 5, user="x") for i in range(50)]
    _submit(scheduler, crowd)
    _compute(scheduler)
    scheduler.submit(_row("single", 5, user="y"))
    scheduler.remove(crowd[0])
    assert list(_compute(scheduler)) == ["crowd 1"]
    scheduler.remove(crowd[1])
    assert list(_compute(scheduler)) == ["single"]


def test_a_conversation_is_answered_in_the_order_it_asked() -> None:
    scheduler = _scheduler(1)
    rows = [_row("same", length, user="x") for length in (5, 6, 7)]
    _submit(scheduler, rows)
    for row in rows:
        assert _compute(scheduler) == {"same": len(row.prompt) - row.cached}
        assert row.slot is not None
        scheduler.remove(row)


def test_the_budget_is_shared_between_users_and_then_between_their_conversations() -> None:
    scheduler = _scheduler(8, prefill_tokens=240)
    _submit(scheduler, [_row(name, 1000, user="x") for name in "abc"])
    _submit(scheduler, [_row("d", 1000, user="y")])
    computed = _compute(scheduler)
    assert computed["d"] == pytest.approx(120, abs=24)
    assert all(computed[name] == pytest.approx(40, abs=8) for name in "abc")


def test_the_end_of_a_long_prompt_is_computed_in_smaller_pieces_that_take_as_long() -> None:
    scheduler = _scheduler(prefill_tokens=200, most_tokens=5000, parity=1000)
    scheduler.submit(_row("long", 4000))
    counts = []
    while scheduler.has_work and (computed := _compute(scheduler)) and computed["long"] > 1:
        counts.append(computed["long"])
    assert counts[0] > 3 * counts[-2]
    assert sum(counts) == 4000


def test_a_prompt_goes_on_at_the_smallest_chunk_however_slow_it_is() -> None:
    scheduler = _scheduler(prefill_tokens=SMALLEST_CHUNK)
    for _ in range(40):
        scheduler._budget.note_prefill(1, 1000, is_streaming=False)
    scheduler.submit(_row("a", 100))
    assert _compute(scheduler) == {"a": SMALLEST_CHUNK}


@given(
    rows=st.lists(st.tuples(st.integers(1, 300), st.sampled_from("xyz")), min_size=1, max_size=6),
    budget=st.integers(SMALLEST_CHUNK, 200),
    parity=st.sampled_from([50.0, 1000.0, math.inf]),
)
def test_no_step_exceeds_the_budget_and_every_prompt_is_computed_once(
    rows: list[tuple[int, str]], budget: int, parity: float
) -> None:
    scheduler = _scheduler(3, prefill_tokens=budget, parity=parity)
    waiting = [_row(chr(65 + i), length, user=user) for i, (length, user) in enumerate(rows)]
    _submit(scheduler, waiting)
    prefilled = dict.fromkeys((row.session for row in waiting), 0)
    for _ in range(400):
        if not scheduler.has_work:
            break
        deciding = {row.session for row in waiting if row.is_decoding}
        computed = {name: count for name, count in _compute(scheduler).items() if name not in deciding}
        assert sum(computed.values()) <= budget
        assert computed or deciding
        for name, count in computed.items():
            prefilled[name] += count
        for row in waiting:
            if row.slot is not None and len(row.reply) > 2:
                scheduler.remove(row)
    assert not scheduler.has_work
    assert prefilled == {row.session: len(row.prompt) for row in waiting}
