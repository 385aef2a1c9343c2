"""Attention of a decode step: one new token for each row, or a few where drafts are verified.

Rows in neighbouring slots with equally many new tokens attend in one call, without gathering: gathering KV costs 2.4
times the attention itself on a CPU. A row's new tokens share its keys, as the heads of a group do, so both stand
together in one small matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from chatbot.engine.attention import Chunk
from chatbot.engine.grouped_attention import by_kernel, by_products, is_plain_cpu
from chatbot.engine.kv import SlotKV

CALL_COST = 200
"""What one more attention call costs, in padded key positions of one row (20 µs against 0.1 µs on a CPU)."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that sit in neighbouring slots from `slot` on and have `length` new tokens each."""

    slot: int
    rows: int
    length: int
    first: int
    """Where the new tokens of the run begin among those of the step."""
    longest: int
    """Key positions that are read, the new tokens included."""

    @property
    def last(self) -> int:
        """Where they end (excluded)."""
        return self.first + self.rows * self.length


class DecodePlan:
    """Few tokens for each row. Rows should come sorted by slot."""

    def __init__(self, kv: SlotKV, chunks: Sequence[Chunk]) -> None:
        self._kv = kv
        self._device = kv.keys.device
        self._attend_grouped = by_products if is_plain_cpu(kv.keys) else by_kernel
        self._ends = [position + 1 for chunk in chunks for position in range(chunk.start, chunk.end)]
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
        heads, dim = query.shape[1], query.shape[3]
        query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
        grouped = query.reshape(len(self._ends) * self._kv.shape.kv_heads, -1, dim)
        scale = dim**-0.5 if scale is None else scale
        output = self.attend_heads(layer, grouped, key.reshape(-1, dim), value.reshape(-1, dim), scale, window)
        return output.reshape(1, -1, heads, dim)

    def attend_heads(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None = None,
    ) -> torch.Tensor:
        """Store key and value `[tokens * kv_heads, dim]` and return the output `[tokens, heads * dim]`.

        The query is `[tokens * kv_heads, group, dim]`: the heads that share keys stand together.
        """
        self._kv.flat_keys[layer].index_copy_(0, self._flat, key)
        self._kv.flat_values[layer].index_copy_(0, self._flat, value)
        if len(self._runs) == 1:
            output = self._attend_run(self._runs[0], layer, query, scale, window)
        else:
            heads = self._kv.shape.kv_heads
            parts = [(run, query[run.first * heads : run.last * heads]) for run in self._runs]
            output = torch.cat([self._attend_run(run, layer, part, scale, window) for run, part in parts])
        return output.reshape(len(self._ends), -1)

    def _attend_run(self, run: Run, layer: int, query: torch.Tensor, scale: float, window: int | None) -> torch.Tensor:
        heads = self._kv.shape.kv_heads
        here = slice(run.slot * heads, (run.slot + run.rows) * heads)
        keys = self._kv.key_columns[layer][here, :, : run.longest]
        values = self._kv.value_rows[layer][here, : run.longest]
        mask = self._mask(run, query.shape[1], window)
        if run.length == 1:
            return self._attend_grouped(query, keys, values, mask, scale)
        by_head = _swapped(query, run.rows, run.length, heads)
        output = self._attend_grouped(by_head.reshape(len(keys), -1, query.shape[2]), keys, values, mask, scale)
        return _swapped(output, run.rows, heads, run.length).reshape(query.shape)

    def _mask(self, run: Run, group: int, window: int | None) -> torch.Tensor | None:
        if (run, window) not in self._masks:
            self._masks[run, window] = self._make_mask(run, group, window)
        return self._masks[run, window]

    def _make_mask(self, run: Run, group: int, window: int | None) -> torch.Tensor | None:
        """Return an additive mask, or None if every new token sees all keys.

        It is `[rows, 1, 1, longest]` for one new token per row, else `[rows, 1, length * group, longest]`.
        """
        ends = self._ends[run.first : run.last]
        if min(ends) == run.longest and (window is None or run.longest <= window):
            return None
        position = torch.arange(run.longest, device=self._device)
        end = torch.tensor(ends, device=self._device)[:, None]
        seen = position < end
        if window is not None:
            seen &= position >= end - window
        mask = _additive(seen, self._kv.keys.dtype)
        if run.length > 1:
            mask = mask.repeat_interleave(group, dim=0)
        return mask.view(run.rows, 1, -1, run.longest)

    def _flat_rows(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return the rows of the flat KV view that the new tokens of all heads are written to."""
        shape = self._kv.shape
        firsts = [chunk.slot * shape.kv_heads * shape.max_len for chunk in chunks for _ in chunk.tokens]
        base = torch.tensor([first + end - 1 for first, end in zip(firsts, self._ends, strict=True)])
        return (base[:, None] + torch.arange(shape.kv_heads) * shape.max_len).view(-1).to(self._device)


def _runs(chunks: Sequence[Chunk]) -> list[Run]:
    """Split rows into runs, also at a jump in length where padding would cost more than a call."""
    runs: list[Run] = []
    first = 0
    for chunk in chunks:
        if runs and chunk.slot == runs[-1].slot + runs[-1].rows and len(chunk.tokens) == runs[-1].length:
            last = runs[-1]
            longest = max(last.longest, chunk.end)
            if (longest - last.longest) * last.rows + longest - chunk.end <= CALL_COST:
                runs[-1] = replace(last, rows=last.rows + 1, longest=longest)
                first += last.length
                continue
        runs.append(Run(chunk.slot, 1, len(chunk.tokens), first, chunk.end))
        first += len(chunk.tokens)
    return runs


def _swapped(grouped: torch.Tensor, rows: int, outer: int, inner: int) -> torch.Tensor:
    """Return `[rows, inner, outer, group, dim]` of what has tokens and heads the other way round, any shape."""
    return grouped.view(rows, outer, inner, -1, grouped.shape[-1]).transpose(1, 2)


def _additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))
