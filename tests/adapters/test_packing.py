"""Packing loses nothing, and packed chats do not see each other."""

import time
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from adapters.loss import label_nll, row_tensors
from adapters.packing import IGNORED, Example, end_to_end, epoch_bins, join, pack, packed_in_order


@given(st.lists(st.integers(1, 40)), st.integers(40, 100))
def test_every_index_is_in_exactly_one_bin_that_holds_it(lengths: list[int], capacity: int) -> None:
    bins = pack(lengths, capacity)
    assert sorted(index for indices in bins for index in indices) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in indices) <= capacity for indices in bins)


@given(st.lists(st.integers(1, 40), min_size=2), st.integers(40, 100))
def test_first_fit_leaves_at_most_one_bin_half_empty(lengths: list[int], capacity: int) -> None:
    fills = [sum(lengths[index] for index in indices) for indices in pack(lengths, capacity)]
    assert sum(fill <= capacity / 2 for fill in fills) <= 1


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(40, 100))
def test_a_chat_opens_a_bin_only_if_no_earlier_bin_has_room(lengths: list[int], capacity: int) -> None:
    bins = pack(lengths, capacity)
    for number, indices in enumerate(bins):
        for earlier in bins[:number]:
            before = sum(lengths[index] for index in earlier if index < indices[0])
            assert before + lengths[indices[0]] > capacity


def test_positions_begin_again_and_only_labelled_tokens_are_learned() -> None:
    row = join([Example((1, 2, 3), (False, False, True)), Example((4, 5), (False, True))])
    assert row.ids == (1, 2, 3, 4, 5)
    assert row.positions == (0, 1, 2, 0, 1)
    assert row.labels == (IGNORED, IGNORED, 3, IGNORED, 5)


def test_an_epochs_order_depends_on_seed_and_epoch_alone() -> None:
    bins = epoch_bins([2] * 50, 8, seed=1, epoch=2)
    assert bins == epoch_bins([2] * 50, 8, seed=1, epoch=2)
    assert bins != epoch_bins([2] * 50, 8, seed=1, epoch=3)
    assert bins != epoch_bins([2] * 50, 8, seed=2, epoch=2)
    assert sorted(index for indices in bins for index in indices) == list(range(50))


def test_a_row_is_made_of_its_chats_when_it_is_asked_for() -> None:
    examples = [Example((size,) * size, (False,) + (True,) * (size - 1)) for size in (5, 2, 6, 3)]
    rows = packed_in_order(examples, 8)
    assert list(rows) == [join([examples[0], examples[1]]), join([examples[2]]), join([examples[3]])]
    assert list(rows[1:]) == [rows[1], rows[2]]
    assert rows.longest() == rows[0]


def test_packing_looks_at_few_bins_for_each_chat() -> None:
    """Each of 20,000 chats opens a bin that stays open for the short one: one by one, they were looked through."""
    lengths = [5, *[300] * 20_000]
    began_s = time.process_time()
    assert len(pack(lengths, 512)) == 20_000
    assert time.process_time() - began_s < 3


def test_packed_logits_equal_separate_logits(base: Path) -> None:
    """The trap: with a cache or an all-ones mask the chats of a row see each other, silently."""
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    generator = torch.Generator().manual_seed(0)
    chats = [torch.randint(0, 200, (length,), generator=generator).tolist() for length in (7, 20, 3, 11)]
    row = row_tensors(join([Example(tuple(ids), (False,) * len(ids)) for ids in chats]))
    with torch.no_grad():
        alone = torch.cat([model(torch.tensor([ids]), use_cache=False).logits[0] for ids in chats])
        packed = model(row["input_ids"], position_ids=row["position_ids"], use_cache=False).logits[0]
        leaking = model(row["input_ids"], position_ids=row["position_ids"], use_cache=True).logits[0]
    assert (packed - alone).abs().max() < 1e-4
    assert (leaking - alone).abs().max() > 0.1


def test_rows_laid_end_to_end_lose_what_they_lose_one_by_one(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    chats = [Example((1, size, 7, size + 1), (False, False, True, True)) for size in range(20, 26)]
    rows = [join(chats[:1]), join(chats[1:4]), join(chats[4:])]
    with torch.no_grad():
        one_by_one = sum(float(label_nll(model, row_tensors(row))[0]) for row in rows)
        at_once = float(label_nll(model, row_tensors(end_to_end(rows)))[0])
    assert abs(at_once - one_by_one) < 1e-3
