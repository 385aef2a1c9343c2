"""What is decided when nothing is said, and that what is said is obeyed."""

import math
from pathlib import Path

import pytest

from adapters.errors import CannotTrain
from adapters.packing import Example, epoch_bins
from adapters.plan import BaseFacts, Options, held_out, is_done_improving, max_tokens, resolve
from adapters.start import Start

BASE = BaseFacts("tiny", "0" * 64, hidden=256, context_tokens=512)


def chats(count: int, tokens: int = 50) -> list[Example]:
    return [Example((1,) * tokens, (False,) * (tokens - 1) + (True,))] * count


def test_few_rows_are_seen_more_often_than_many() -> None:
    assert resolve(Options(), BASE, chats(45)).epochs > resolve(Options(), BASE, chats(400)).epochs
    assert resolve(Options(), BASE, chats(40_000)).epochs == 3


def test_about_eight_chats_make_a_step_and_ten_evaluations_a_run() -> None:
    plan = resolve(Options(), BASE, chats(400))
    chats_a_step = 400 * plan.epochs / plan.steps
    assert 5 <= chats_a_step <= 12
    assert 9 <= plan.steps / plan.evaluate_every <= 10
    assert 1 <= plan.warmup_steps < plan.steps / 10


def test_how_many_chats_a_step_really_has_is_told() -> None:
    plans = {tokens: resolve(Options(), BASE, chats(400, tokens)) for tokens in (12, 64, 300)}
    assert {tokens: plan.reasons["rows_a_step"].partition(" a step")[0] for tokens, plan in plans.items()} == {
        12: "about 40 chats",
        64: "about 8 chats",
        300: "about 8 chats",
    }
    assert plans[12].reasons["rows_a_step"].endswith("for so many short ones are in a row")


@pytest.mark.parametrize("options", [Options(), Options(preset="quick", seed=1), Options(epochs=3, seed=2)])
def test_the_steps_are_those_that_all_epochs_rows_make(options: Options) -> None:
    """The chats come shortest first, which packs worse than the order of any epoch."""
    examples = [chat for tokens in range(20, 400, 3) for chat in chats(1, tokens)]
    plan = resolve(options, BASE, examples)
    lengths = [len(example.ids) for example in examples]
    epochs = [epoch_bins(lengths, plan.row_tokens, seed=plan.seed, epoch=epoch) for epoch in range(plan.epochs)]
    assert list(plan.rows) == [indices for bins in epochs for indices in bins]
    assert plan.steps == math.ceil(len(plan.rows) / plan.rows_a_step)


def test_few_rows_are_seen_just_often_enough_for_eighty_steps() -> None:
    plan = resolve(Options(), BASE, chats(20))
    assert 80 <= plan.steps <= 80 * plan.epochs / (plan.epochs - 1)


def test_long_chats_widen_the_row_they_are_packed_into() -> None:
    assert resolve(Options(), BASE, [*chats(3), *chats(1, 900)]).row_tokens == 900


def test_small_bases_learn_faster_and_the_rate_has_a_limit() -> None:
    rates = [resolve(Options(), BaseFacts("b", "", hidden, 512), chats(50)).lr for hidden in (64, 256, 1024, 4096)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == rates[1]


def test_what_was_asked_for_is_done_and_every_choice_has_a_reason() -> None:
    plan = resolve(Options(epochs=2, lr=1e-5, rank=3, seed=9), BASE, chats(50))
    assert (plan.epochs, plan.lr, plan.rank, plan.seed) == (2, 1e-5, 3, 9)
    assert plan.reasons["epochs"] == plan.reasons["lr"] == plan.reasons["rank"] == "as asked"
    assert {"rank", "alpha", "lr", "epochs", "rows_a_step"} <= plan.reasons.keys()


def test_presets_change_how_long_is_trained() -> None:
    epochs = [resolve(Options(preset=preset), BASE, chats(100)).epochs for preset in ("quick", "normal", "thorough")]
    assert epochs[0] < epochs[1] < epochs[2]


def test_a_length_the_base_cannot_read_is_refused() -> None:
    assert max_tokens(Options(), BASE) == 512
    with pytest.raises(CannotTrain, match=r"--max-length 600 does not fit tiny \(use 16 to 512\)"):
        max_tokens(Options(max_tokens=600), BASE)
    with pytest.raises(CannotTrain, match=r"no chat fits into 512 tokens up to its first reply.* \(shorten the chats"):
        resolve(Options(), BASE, [])
    with pytest.raises(CannotTrain, match="a longer --max-length, at most 512, or shorten the chats"):
        resolve(Options(max_tokens=256), BASE, [])


def test_a_tenth_is_held_out_by_hash_whatever_the_order() -> None:
    keys = [bytes([i * 7 % 256]) for i in range(100)]
    chosen = {keys[i] for i in held_out(keys)}
    backwards = list(reversed(keys))
    assert len(chosen) == 10
    assert chosen == {backwards[i] for i in held_out(backwards)}
    assert held_out(keys[:9]) == set()


def test_training_ends_after_three_evaluations_without_a_new_best() -> None:
    assert not is_done_improving([3, 2, 1])
    assert not is_done_improving([3, 2, 2.5, 2.4, 1.9])
    assert is_done_improving([3, 2, 2.5, 2.4, 2.0])


def test_fewer_steps_than_the_epochs_have_can_be_asked_for_but_not_more() -> None:
    whole = resolve(Options(epochs=2), BASE, chats(400))
    assert resolve(Options(epochs=2, steps=7), BASE, chats(400)).steps == 7
    assert resolve(Options(epochs=2, steps=10**6), BASE, chats(400)) == whole


def test_epochs_that_the_steps_do_not_reach_are_not_planned() -> None:
    one = resolve(Options(epochs=1), BASE, chats(400)).steps
    plans = [resolve(Options(epochs=5, steps=steps), BASE, chats(400)) for steps in (1, one - 1, one + 1, 5 * one)]
    assert [plan.epochs for plan in plans] == [1, 1, 2, 5]
    assert plans[0].reasons["epochs"] == "as many as the steps reach"
    assert resolve(Options(epochs=10**9, steps=one), BASE, chats(400)).epochs == 1


def test_measuring_costs_no_more_than_training() -> None:
    short, long = (resolve(Options(epochs=1, steps=steps), BASE, chats(4000), held_out=200) for steps in (30, 400))
    assert short.evaluate_every * 3 * 8 >= 200
    assert long.evaluate_every == 40


def test_a_run_that_goes_on_keeps_the_rank_and_alpha_it_finds() -> None:
    start = Start("pirate@v1", Path(), "0" * 64, rank=5, alpha=9)
    plan = resolve(Options(), BASE, chats(50), start)
    assert (plan.rank, plan.alpha) == (5, 9)
    assert plan.reasons["rank"] == plan.reasons["alpha"] == "as pirate@v1 has it"


def test_a_run_that_goes_on_takes_the_rank_that_is_asked_for() -> None:
    start = Start("pirate@v1", Path(), "0" * 64, rank=5, alpha=9)
    plan = resolve(Options(rank=8), BASE, chats(50), start)
    assert (plan.rank, plan.alpha) == (8, 9)
    assert plan.reasons["rank"] == "as asked; pirate@v1 has 5"


def test_a_short_run_that_goes_on_takes_the_usual_rate() -> None:
    start = Start("pirate@v1", Path(), "0" * 64, rank=5, alpha=9)
    usual = resolve(Options(epochs=2), BASE, chats(800)).lr
    assert resolve(Options(steps=20), BASE, chats(50), start).lr == usual
    assert resolve(Options(steps=20), BASE, chats(50)).lr == 3 * usual
