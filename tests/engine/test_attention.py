"""Attention over slots equals plain causal attention over each conversation alone."""

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.engine.attention import Chunk, PrefillPlan, slot_attention
from chatbot.engine.decode_plan import DecodePlan
from chatbot.engine.grouped_attention import by_kernel, by_products
from chatbot.engine.kv import KVShape, SlotKV
from tests.examples import examples

HEADS, KV_HEADS, DIM, MAX_LEN, SLOTS = 4, 2, 8, 400, 6


def _kv() -> SlotKV:
    return SlotKV(KVShape(1, SLOTS, KV_HEADS, MAX_LEN, DIM), dtype=torch.float32, device=torch.device("cpu"))


class Conversation:
    """Random queries, keys and values of one conversation, and what attention makes of them."""

    def __init__(self, length: int, seed: int, window: int | None = None) -> None:
        chance = torch.Generator().manual_seed(seed)
        self.query = torch.randn(1, HEADS, length, DIM, generator=chance)
        self.key = torch.randn(1, KV_HEADS, length, DIM, generator=chance)
        self.value = torch.randn(1, KV_HEADS, length, DIM, generator=chance)
        position = torch.arange(length)
        seen = position <= position[:, None]
        if window is not None:
            seen &= position > position[:, None] - window
        self.output = F.scaled_dot_product_attention(
            self.query, self.key, self.value, attn_mask=seen, enable_gqa=True
        ).transpose(1, 2)


def _prefill(kv: SlotKV, parts: list[tuple[Conversation, int, int, int]], window: int | None) -> list[torch.Tensor]:
    """Compute parts `(conversation, slot, start, end)` in one plan and return each one's output."""
    plan = PrefillPlan(kv, [Chunk(slot, start, [0] * (end - start)) for _, slot, start, end in parts])
    query, key, value = (
        torch.cat([getattr(talk, name)[:, :, start:end] for talk, _, start, end in parts], dim=2)
        for name in ("query", "key", "value")
    )
    output = plan.attend(0, query, key, value, None, window)
    assert output.is_contiguous()  # some models take a view of it
    return list(torch.split(output, [end - start for _, _, start, end in parts], dim=1))


@pytest.mark.parametrize("window", [None, 7])
def test_prompts_in_chunks_side_by_side(window: int | None) -> None:
    kv = _kv()
    one, two = Conversation(30, 1, window), Conversation(20, 2, window)
    first, second = _prefill(kv, [(one, 3, 0, 11), (two, 0, 0, 20)], window)
    third, *_ = _prefill(kv, [(one, 3, 11, 30)], window)
    assert torch.allclose(torch.cat([first, third], dim=1), one.output, atol=1e-5)
    assert torch.allclose(second, two.output, atol=1e-5)


@settings(max_examples=examples(60))
@given(
    rows=st.dictionaries(st.integers(0, SLOTS - 1), st.tuples(st.integers(6, MAX_LEN), st.integers(1, 5)), min_size=1),
    window=st.sampled_from([None, 5, 100]),
    is_sorted=st.booleans(),
    attend=st.sampled_from([by_products, by_kernel]),
)
def test_decoding_rows_of_any_slots_and_lengths_by_one_token_or_some(
    rows: dict[int, tuple[int, int]], window: int | None, is_sorted: bool, attend: Callable[..., torch.Tensor]
) -> None:
    kv = _kv()
    talks = {slot: Conversation(length, slot, window) for slot, (length, _) in rows.items()}
    starts = {slot: length - new for slot, (length, new) in rows.items()}
    for slot, talk in talks.items():
        _prefill(kv, [(talk, slot, 0, starts[slot])], window)
    order = sorted(rows) if is_sorted else list(rows)
    plan = DecodePlan(kv, [Chunk(slot, starts[slot], [0] * rows[slot][1]) for slot in order])
    plan._attend_grouped = attend
    query, key, value = (
        torch.cat([getattr(talks[slot], name)[:, :, starts[slot] :] for slot in order], dim=2)
        for name in ("query", "key", "value")
    )
    output = plan.attend(0, query, key, value, None, window)
    expected = torch.cat([talks[slot].output[:, starts[slot] :] for slot in order], dim=1)
    assert torch.allclose(output, expected, atol=1e-5)


def test_a_copied_prefix_is_as_good_as_a_computed_one() -> None:
    kv = _kv()
    talk = Conversation(20, 1)
    _prefill(kv, [(talk, 1, 0, 15)], None)
    kv.copy_prefix(1, 4, 15)
    (output,) = _prefill(kv, [(talk, 4, 15, 20)], None)
    assert torch.allclose(output, talk.output[:, 15:], atol=1e-5)


def test_attention_that_the_plans_do_not_know_is_refused() -> None:
    x = torch.zeros(1, HEADS, 1, DIM)
    with pytest.raises(ValueError, match="not supported"):
        slot_attention(torch.nn.Module(), x, x, x, None, softcap=30.0, slots=PrefillPlan(_kv(), []))
    with pytest.raises(ValueError, match="not supported"):
        slot_attention(torch.nn.Module(), x, x, x, None)


@pytest.mark.parametrize(
    ("config", "layer", "is_taken"),
    [
        ({"sliding_window": 64}, 0, False),
        ({"sliding_window": None}, 0, True),
        ({"sliding_window": 64, "layer_types": ["full_attention", "sliding_attention"]}, 0, True),
        ({"sliding_window": 64, "layer_types": ["full_attention", "sliding_attention"]}, 1, False),
        ({"layer_types": ["chunked_attention"]}, 0, False),
    ],
)
def test_a_window_that_only_a_mask_would_have_is_refused(config: dict[str, Any], layer: int, *, is_taken: bool) -> None:
    x = torch.zeros(1, HEADS, 1, DIM)
    module: Any = torch.nn.Module()
    module.config, module.layer_idx = SimpleNamespace(**config), layer
    plan = SimpleNamespace(attend=lambda *_: x)
    with nullcontext() if is_taken else pytest.raises(ValueError, match="in the mask alone"):
        slot_attention(module, x, x, x, None, slots=plan)
