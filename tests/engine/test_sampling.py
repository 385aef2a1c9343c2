"""Tokens are drawn as each row's settings say, and by its seed whatever the batch."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from chatbot.engine.base import Sampling
from chatbot.engine.sampling import MASK64, NO_TOKEN, RowSampler, _filter, sample
from tests.examples import examples

VOCABULARY = 300


def _logits(rows: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * scale


def _row(**settings: Any) -> RowSampler:
    return RowSampler(Sampling(**settings), prompt=[1, 2, 3])


def _frequencies(logits: torch.Tensor, draws: int = 20_000, **settings: Any) -> torch.Tensor:
    rows = [_row(seed=seed, **settings) for seed in range(draws)]
    tokens = torch.tensor(sample(logits.expand(draws, -1), rows))
    return torch.bincount(tokens, minlength=logits.shape[-1]) / draws


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = _logits(5)
    assert sample(logits, [_row(temperature=0) for _ in range(5)]) == logits.argmax(-1).tolist()


@pytest.mark.parametrize("temperature", [-1.0, 1e-30, math.nan])
def test_a_temperature_that_cannot_divide_takes_the_likeliest(temperature: float) -> None:
    assert sample(_logits(1), [_row(temperature=temperature)]) == _logits(1).argmax(-1).tolist()


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    expected = (logits / 0.8).softmax(-1)
    assert torch.allclose(_frequencies(logits, temperature=0.8), expected, atol=0.015)


def test_filtered_draws_follow_the_renormalised_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    expected = torch.tensor([0.0, 1.0, 2.0]).softmax(-1)
    found = _frequencies(logits, temperature=1.0, top_k=3)
    assert torch.allclose(found[:3], expected, atol=0.015)
    assert found[3] == 0


@settings(max_examples=examples(80))
@given(
    top_k=st.sampled_from([0, 1, 3, 70, 1000]),
    top_p=st.sampled_from([1.0, 0.99, 0.7, 0.1, 0.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.9]),
    scale=st.sampled_from([0.1, 1.0, 4.0]),
    seed=st.integers(0, 1000),
)
def test_filters_keep_what_transformers_keeps(top_k: int, top_p: float, min_p: float, scale: float, seed: int) -> None:
    logits = _logits(3, seed, scale)
    expected = logits
    if top_k:
        expected = TopKLogitsWarper(min(top_k, VOCABULARY))(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    if min_p:
        expected = MinPLogitsWarper(min_p)(None, expected)
    kept = _filter(logits, [Sampling(top_k=top_k, top_p=top_p, min_p=min_p)] * 3)
    assert torch.equal(kept.isfinite(), expected.isfinite())


def test_rows_with_different_filters_do_not_disturb_each_other() -> None:
    logits = _logits(4)
    settings: list[dict[str, Any]] = [{"top_k": 2}, {"top_p": 0.5}, {}, {"min_p": 0.5, "top_k": 200}]
    together = sample(logits, [_row(seed=7, **one) for one in settings])
    alone = [sample(logits[i : i + 1], [_row(seed=7, **one)])[0] for i, one in enumerate(settings)]
    assert together == alone


@settings(max_examples=examples(50))
@given(
    seed=st.integers(-(2**70), 2**70),
    neighbours=st.integers(0, 5),
    place=st.integers(0, 5),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
)
def test_a_seeded_reply_does_not_depend_on_its_batch(
    seed: int, neighbours: int, place: int, temperature: float
) -> None:
    alone, crowded = _row(seed=seed, temperature=temperature), _row(seed=seed, temperature=temperature)
    others = [_row(temperature=i % 2) for i in range(neighbours)]
    place = min(place, neighbours)
    for step in range(4):
        logits = _logits(neighbours + 1, step)
        expected = sample(logits[place : place + 1], [alone])[0]
        assert sample(logits, [*others[:place], crowded, *others[place:]])[place] == expected


def test_positions_of_one_seed_and_seeds_of_one_position_differ() -> None:
    one = _row(seed=1)
    numbers = set()
    for _ in range(100):
        numbers.add(one.uniform())
        one.accept(0)
    assert len(numbers) == 100
    assert len({_row(seed=seed).uniform() for seed in range(100)}) == 100


def test_a_negative_seed_is_a_seed_like_any_other() -> None:
    assert _row(seed=-1).uniform() == _row(seed=-1).uniform() != _row(seed=1).uniform()


def test_the_numbers_are_uniform() -> None:
    numbers = sorted(_row(seed=seed).uniform() for seed in range(4000))
    assert max(abs(number - i / 4000) for i, number in enumerate(numbers)) < 0.03
    assert numbers[0] >= 0
    assert numbers[-1] < 1


def test_the_largest_number_draws_a_token_that_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.engine.sampling._mix", lambda _: MASK64)
    for scale in (0.0, 1.0, 30.0):
        logits = _logits(200, scale=scale)
        logits[:, -3:] = -math.inf
        assert max(sample(logits, [_row() for _ in range(200)])) < VOCABULARY - 3


def test_without_a_seed_replies_differ() -> None:
    assert _row().seed != _row().seed


@pytest.mark.parametrize("penalty", [0.5, 1.3])
def test_the_repetition_penalty_is_that_of_transformers(penalty: float) -> None:
    logits = _logits(1)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([[1, 2, 3, 9]]), logits.clone())
    row = _row(repetition_penalty=penalty)
    row.penalised(logits[0])
    row.accept(9)
    assert torch.allclose(row.penalised(logits[0]), expected[0])


def test_frequency_and_presence_count_the_reply_and_not_the_prompt() -> None:
    row = _row(frequency_penalty=0.5, presence_penalty=2.0)
    flat = torch.zeros(VOCABULARY)
    assert torch.equal(row.penalised(flat), flat)
    for token in (5, 5, 6):
        row.accept(token)
    penalised = row.penalised(flat)
    assert penalised[[1, 5, 6]].tolist() == [0.0, -3.0, -2.5]


def test_a_strong_penalty_ends_a_loop() -> None:
    logits = torch.zeros(1, VOCABULARY)
    logits[0, 42] = 5
    row = _row(temperature=0, frequency_penalty=2.0)
    assert [sample(logits, [row])[0] for _ in range(4)][:3] == [42, 42, 42]
    assert sample(logits, [row])[0] != 42


def test_logits_that_are_no_numbers_give_no_token_and_leave_the_others_alone() -> None:
    logits = _logits(3)
    logits[1, 5] = math.nan
    rows = [_row(seed=1, temperature=1), _row(temperature=0), _row(temperature=0)]
    first, broken, last = sample(logits, rows)
    assert broken == NO_TOKEN
    assert last == logits[2].argmax()
    assert first == sample(logits[:1], [_row(seed=1, temperature=1)])[0]


@pytest.mark.parametrize("settings", [{}, {"top_k": 5}, {"top_p": 0.5}, {"min_p": 0.5}])
def test_settings_that_leave_no_distribution_give_no_token_and_leave_the_others_alone(settings: dict[str, Any]) -> None:
    logits = _logits(2)
    logits[0, 1] = 5.0
    spoilt = _row(seed=1, temperature=0.01, repetition_penalty=1e-37, **settings)
    broken, other = sample(logits, [spoilt, _row(seed=1)])
    assert broken == NO_TOKEN
    assert spoilt.position == 0
    assert other == sample(logits[1:], [_row(seed=1)])[0]


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    logits = torch.full((1, VOCABULARY), -math.inf)
    logits[0, [3, 299]] = 0.0
    drawn = {sample(logits, [_row(seed=seed)])[0] for seed in range(200)}
    assert drawn == {3, 299}


@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.5}, {"frequency_penalty": 1.0}])
def test_draws_ahead_are_those_that_come_one_after_the_other(settings: dict[str, Any]) -> None:
    logits = _logits(4, scale=0.5)
    one, other = (_row(seed=5, temperature=0.5, **settings) for _ in range(2))
    first, *rest = [sample(logits[i : i + 1], [one])[0] for i in range(4)]
    assert sample(logits[:1], [other]) == [first]
    ahead = other.ahead(rest[:2])
    assert ahead[0] is other
    assert sample(logits[1:], ahead) == rest
    assert ahead[-1].position == one.position
    assert torch.equal(ahead[-1].penalised(logits[0]), one.penalised(logits[0]))
