"""When a run ends because it no longer improves."""

from types import SimpleNamespace

from adapters.plan import PATIENCE
from adapters.progress import Reporter
from adapters.start import Begun
from adapters.trainer import StopRequest, Watch


def steps_taken(losses: list[float], begun: Begun | None) -> int:
    """Return after how many evaluations a run ends that measures these losses."""
    watch, control, history = Watch(Reporter(), StopRequest(), begun), SimpleNamespace(should_training_stop=False), []
    for step, loss in enumerate(losses, start=1):
        history.append({"eval_loss": loss})
        state = SimpleNamespace(global_step=step, max_steps=100, log_history=history)
        watch.on_evaluate(None, state, control, {"eval_loss": loss})
        if control.should_training_stop:
            return step
    return len(losses)


def test_a_run_ends_after_so_many_evaluations_without_a_better_one() -> None:
    assert steps_taken([2.0] + [2.1] * 9, None) == 1 + PATIENCE


def test_a_run_that_wins_back_what_it_lost_at_first_goes_on() -> None:
    losses = [2.0, 2.1, 2.0, 1.9, 1.8, 1.7, 1.4]
    assert steps_taken(losses, Begun({}, 1.5)) == len(losses)
    assert steps_taken([2.0] * 9, Begun({}, 1.5)) == 1 + PATIENCE
