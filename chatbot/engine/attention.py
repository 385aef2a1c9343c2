"""Attention over KV slots, plugged into unmodified transformers models under the name `chatbot_slots`.

A name without a mask function makes transformers pass no mask at all; causality is ours. Each forward gets a plan as
the keyword `slots`, made once per step and shared by all layers:

* DecodePlan: one new token for each of N rows, input `[N, 1]`. Rows in neighbouring slots attend in one call, without
  gathering: gathering KV costs 2.4 times the attention itself on a CPU.
* PrefillPlan: several chunks of prompts side by side, input `[1, sum of lengths]`, each causal over its own slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import AttentionInterface

from chatbot.engine.grouped_attention import by_kernel, by_products, is_plain_cpu
from chatbot.engine.kv import SlotKV

NAME = "chatbot_slots"
CALL_COST = 200
"""What one more attention call costs, in padded key positions of one row (20 µs against 0.1 µs on a CPU)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """New tokens of one conversation, to be computed after the `start` tokens already in its slot."""

    slot: int
    start: int
    tokens: Sequence[int]

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)


class Plan(Protocol):
    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float | None,
        window: int | None,
    ) -> torch.Tensor:
        """Store key and value `[batch, kv_heads, length, dim]` and return the output `[batch, length, heads, dim]`."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows `first` to `last` (excluded) that sit in neighbouring slots from `slot` on."""

    first: int
    last: int
    slot: int
    longest: int
    """Key positions that are read, the new token included."""


class DecodePlan:
    """One token for each row. Rows should come sorted by slot."""

    def __init__(self, kv: SlotKV, chunks: Sequence[Chunk]) -> None:
        self._kv = kv
        self._device = kv.keys.device
        self._attend_grouped = by_products if is_plain_cpu(kv.keys) else by_kernel
        self._lengths = [chunk.end for chunk in chunks]
        self._runs = _runs(chunks)
        self._flat = self._flat_rows(chunks)
        self._masks: dict[tuple[Run, int | None], torch.Tensor | None] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float | None,
        window: int | None,
    ) -> torch.Tensor:
        rows, heads, _, dim = query.shape
        grouped = query.reshape(rows * self._kv.shape.kv_heads, -1, dim)
        scale = dim**-0.5 if scale is None else scale
        output = self.attend_heads(layer, grouped, key.reshape(-1, dim), value.reshape(-1, dim), scale, window)
        return output.view(rows, 1, heads, dim)

    def attend_heads(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None = None,
    ) -> torch.Tensor:
        """Store key and value `[rows * kv_heads, dim]` and return the output `[rows, heads * dim]`.

        The query is `[rows * kv_heads, group, dim]`: the heads that share keys stand together.
        """
        self._kv.flat_keys[layer].index_copy_(0, self._flat, key)
        self._kv.flat_values[layer].index_copy_(0, self._flat, value)
        if len(self._runs) == 1:
            output = self._attend_run(self._runs[0], layer, query, scale, window)
        else:
            heads = self._kv.shape.kv_heads
            parts = [(run, query[run.first * heads : run.last * heads]) for run in self._runs]
            output = torch.cat([self._attend_run(run, layer, part, scale, window) for run, part in parts])
        return output.view(len(self._lengths), -1)

    def _attend_run(self, run: Run, layer: int, query: torch.Tensor, scale: float, window: int | None) -> torch.Tensor:
        heads = self._kv.shape.kv_heads
        here = slice(run.slot * heads, (run.slot + run.last - run.first) * heads)
        keys = self._kv.key_columns[layer][here, :, : run.longest]
        values = self._kv.value_rows[layer][here, : run.longest]
        return self._attend_grouped(query, keys, values, self._mask(run, window), scale)

    def _mask(self, run: Run, window: int | None) -> torch.Tensor | None:
        if (run, window) not in self._masks:
            self._masks[run, window] = self._make_mask(run, window)
        return self._masks[run, window]

    def _make_mask(self, run: Run, window: int | None) -> torch.Tensor | None:
        """Return an additive mask `[rows, 1, 1, longest]`, or None if every row sees all its keys."""
        lengths = self._lengths[run.first : run.last]
        if min(lengths) == run.longest and (window is None or run.longest <= window):
            return None
        position = torch.arange(run.longest, device=self._device)
        end = torch.tensor(lengths, device=self._device)[:, None]
        seen = position < end
        if window is not None:
            seen &= position >= end - window
        return _additive(seen, self._kv.keys.dtype)[:, None, None]

    def _flat_rows(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return the rows of the flat KV view that the new tokens of all heads are written to."""
        shape = self._kv.shape
        base = torch.tensor([chunk.slot * shape.kv_heads * shape.max_len + chunk.start for chunk in chunks])
        return (base[:, None] + torch.arange(shape.kv_heads) * shape.max_len).view(-1).to(self._device)


class PrefillPlan:
    """Chunks of any length, one after the other in a single sequence."""

    def __init__(self, kv: SlotKV, chunks: Sequence[Chunk]) -> None:
        self._kv = kv
        self._chunks = chunks
        self._masks: dict[tuple[int, int, int | None], torch.Tensor | None] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float | None,
        window: int | None,
    ) -> torch.Tensor:
        keys, values = self._kv.keys[layer], self._kv.values[layer]
        outputs, first = [], 0
        for chunk in self._chunks:
            here, slot, end = slice(first, first + len(chunk.tokens)), chunk.slot, chunk.end
            keys[slot, :, chunk.start : end] = key[0, :, here]
            values[slot, :, chunk.start : end] = value[0, :, here]
            mask = self._mask(chunk, window)
            outputs.append(
                F.scaled_dot_product_attention(
                    query[:, :, here],
                    keys[slot : slot + 1, :, :end],
                    values[slot : slot + 1, :, :end],
                    attn_mask=mask,
                    is_causal=mask is None,
                    scale=scale,
                    enable_gqa=True,
                )
            )
            first = here.stop
        output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
        return output.transpose(1, 2)

    def _mask(self, chunk: Chunk, window: int | None) -> torch.Tensor | None:
        key = (chunk.start, len(chunk.tokens), window)
        if key not in self._masks:
            self._masks[key] = self._make_mask(chunk, window)
        return self._masks[key]

    def _make_mask(self, chunk: Chunk, window: int | None) -> torch.Tensor | None:
        """Return a boolean mask `[length, end]`, or None where plain causal attention does."""
        if chunk.start == 0 and (window is None or chunk.end <= window):
            return None
        position = torch.arange(chunk.end, device=self._kv.keys.device)
        query = position[chunk.start :, None]
        seen = position <= query
        if window is not None:
            seen &= position > query - window
        return seen


def _runs(chunks: Sequence[Chunk]) -> list[Run]:
    """Split rows into runs of neighbouring slots, and at a jump in length where padding would cost more than a call."""
    runs: list[Run] = []
    for row, chunk in enumerate(chunks):
        if runs and chunk.slot == runs[-1].slot + row - runs[-1].first:
            last = runs[-1]
            rows, longest = row - last.first, max(last.longest, chunk.end)
            if (longest - last.longest) * rows + longest - chunk.end <= CALL_COST:
                runs[-1] = Run(last.first, row + 1, last.slot, longest)
                continue
        runs.append(Run(row, row + 1, chunk.slot, chunk.end))
    return runs


def _additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))


def slot_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    slots: Plan | None = None,
    **_: Any,  # whatever else a model hands to its attention function
) -> tuple[torch.Tensor, None]:
    """Attend as the plan says. Raises ValueError for kinds of attention that the plans do not know."""
    if slots is None or softcap is not None or s_aux is not None:
        raise ValueError("attention with softcap, with sinks or without a slot plan is not supported")
    layer = module.layer_idx
    assert isinstance(layer, int)
    return slots.attend(layer, query, key, value, scaling, sliding_window), None


AttentionInterface.register(NAME, slot_attention)
