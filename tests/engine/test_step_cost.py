"""The cost of drafts is what steps were measured to take."""

import pytest

from chatbot.engine.step_cost import BEGINNING, FRESH_STEPS, StepCost


def _measured(jump: float, slope: float, *, plain: float = 0.002) -> StepCost:
    """Return what is learnt where a step with drafts takes `jump + slope * drafts` times a plain one."""
    cost = StepCost()
    for i in range(200):
        drafted = (1, 3, 6, 14)[i % 4]
        cost.note(4, 0, plain)
        cost.note(4, drafted, plain * (jump + slope * drafted))
    return cost


@pytest.mark.parametrize(("jump", "slope"), [(1.0, 0.0), (1.1, 0.1), (3.0, 0.5)])
def test_the_measured_line_takes_the_place_of_the_one_it_begins_with(jump: float, slope: float) -> None:
    cost = _measured(jump, slope)
    for drafted in (2, 8, 16):
        assert cost.ratio(4, drafted) == pytest.approx(jump + slope * drafted, rel=0.25)


def test_no_drafts_cost_nothing_and_drafts_never_save_time() -> None:
    assert StepCost().ratio(3, 0) == 1
    assert _measured(0.2, 0.0).ratio(4, 5) == 1


def test_before_a_measurement_a_small_model_on_a_core_is_assumed() -> None:
    for drafted, ratio in BEGINNING:
        assert StepCost().ratio(1, drafted) == pytest.approx(ratio)


def test_steps_with_drafts_are_judged_only_beside_a_fresh_plain_step_of_as_many_rows() -> None:
    cost = StepCost()
    assert not cost.is_known(2)
    cost.note(2, 0, 0.001)
    assert cost.is_known(2)
    assert not cost.is_known(3)
    for _ in range(FRESH_STEPS):
        cost.note(2, 4, 0.001)
    assert not cost.is_known(2)


def test_numbers_of_rows_are_judged_apart() -> None:
    cost = _measured(3.0, 0.5)
    assert cost.ratio(1, 8) == StepCost().ratio(1, 8)


def test_a_stumble_of_the_machine_moves_the_line_little() -> None:
    cost = _measured(1.2, 0.05)
    before = cost.ratio(4, 6)
    cost.note(4, 6, 5.0)
    cost.note(4, 0, 5.0)
    assert cost.ratio(4, 6) < 1.3 * before


def test_a_bad_time_is_forgotten_while_nothing_is_drafted() -> None:
    cost = _measured(9.0, 1.0)
    assert cost.ratio(4, 8) > 10
    for _ in range(1000):
        cost.note(4, 0, 0.002)
    assert cost.ratio(4, 8) == pytest.approx(StepCost().ratio(4, 8), rel=0.05)
