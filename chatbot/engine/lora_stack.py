"""What LoRA adapters add to one linear, laid out for few large products.

The linear may hold several of the base model's side by side, such as queries, keys and values. An adapter that is alone
is one dense pair. Several stand side by side along the rank, in a block for each of the base model's linears, so that
what does not belong together is not multiplied; a mask leaves each row its own adapter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from chatbot.engine.adapter_files import LoraAdapter

Segments = tuple[tuple[str, int], ...]
"""Digest and rank of each adapter along the rank of a stack, block after block."""


@dataclass(frozen=True, slots=True)
class Part:
    """One linear of the base model within another."""

    name: str
    rows: torch.Tensor | None = None
    """Where each of its outputs is among the other's, without a gap in between; None if it is all of it."""

    def up(self, adapter: LoraAdapter) -> torch.Tensor:
        """Return an adapter's `[rank, outputs]`, the outputs in the order in which they stand."""
        up = adapter.pairs[self.name].up
        return (up if self.rows is None else up[self.rows.argsort()]).T

    def outputs(self, adapter: LoraAdapter) -> int:
        """Return how many outputs it has; where it is all there is, the adapter tells."""
        return adapter.pairs[self.name].up.shape[0] if self.rows is None else len(self.rows)

    @property
    def span(self) -> slice:
        """Where its outputs are."""
        if self.rows is None:
            return slice(None)
        first, last = int(self.rows.min()), int(self.rows.max())
        assert last - first + 1 == len(self.rows)
        return slice(first, last + 1)


@dataclass(frozen=True, slots=True)
class Alone:
    """An adapter's update of a whole linear: `y += (x @ down) @ up`."""

    down: torch.Tensor
    """`[in_features, ranks]`."""
    up: torch.Tensor
    """`[ranks, out_features]`."""

    @classmethod
    def of(cls, parts: Sequence[Part], adapter: LoraAdapter) -> "Alone":
        """Join what an adapter does to these parts, of which it must change one."""
        changed = [part for part in parts if part.name in adapter.pairs]
        outputs = sum(part.outputs(adapter) for part in parts)
        down = torch.cat([adapter.pairs[part.name].down for part in changed]).T.contiguous()
        up = down.new_zeros(down.shape[1], outputs)
        first = 0
        for part in changed:
            block = part.up(adapter)
            up[first : first + len(block), part.span] = block
            first += len(block)
        return cls(down, up)

    def add_to(self, y: torch.Tensor, x: torch.Tensor) -> None:
        y.addmm_(x @ self.down, self.up)


@dataclass(frozen=True, slots=True)
class Block:
    """Several adapters' updates of one part: from these ranks of a stack to these outputs."""

    ranks: slice
    outputs: slice
    up: torch.Tensor
    """`[ranks, outputs]`."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The updates of several adapters, side by side along the rank."""

    segments: Segments
    down: torch.Tensor
    """`[in_features, sum of ranks]`."""
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, parts: Sequence[Part], adapters: Sequence[LoraAdapter]) -> "Stack":
        """Stack what the adapters do to these parts, of which they must change one."""
        segments: list[tuple[str, int]] = []
        downs: list[torch.Tensor] = []
        blocks: list[Block] = []
        first = 0
        for part in parts:
            owners = [adapter for adapter in adapters if part.name in adapter.pairs]
            if not owners:
                continue
            up = torch.cat([part.up(adapter) for adapter in owners]).contiguous()
            downs += [adapter.pairs[part.name].down for adapter in owners]
            segments += [(adapter.digest, adapter.pairs[part.name].down.shape[0]) for adapter in owners]
            blocks.append(Block(slice(first, first + len(up)), part.span, up))
            first += len(up)
        return cls(tuple(segments), torch.cat(downs).T.contiguous(), tuple(blocks))

    def add_to(self, y: torch.Tensor, x: torch.Tensor, foreign: torch.Tensor) -> None:
        """Add each row's own update; `foreign` is `[rows, sum of ranks]`, true where a rank is not the row's.

        What is not a row's own is dropped and not multiplied by zero: it may be infinite.
        """
        low = (x @ self.down).masked_fill_(foreign, 0)
        for block in self.blocks:
            y[:, block.outputs].addmm_(low[:, block.ranks], block.up)


class RowMasks:
    """Which rows own which parts of a stack. A mask of one size stays where it is, as a CUDA graph needs it."""

    def __init__(self) -> None:
        self._owners: Sequence[str | None] = ()
        self._masks: dict[tuple[Segments, int], torch.Tensor] = {}

    def own(self, owners: Sequence[str | None]) -> None:
        """Say whose adapter each row of the coming step uses, by digest."""
        if owners == self._owners:
            return
        self._owners = owners
        for (segments, rows), mask in self._masks.items():
            if rows == len(owners):
                mask.copy_(self._table(segments))

    def foreign(self, segments: Segments, device: torch.device) -> torch.Tensor:
        """Return `[rows, sum of ranks]`: true where that part of the stack is not the row's."""
        key = (segments, len(self._owners))
        if key not in self._masks:
            self._masks[key] = self._table(segments).to(device)
        return self._masks[key]

    def clear(self) -> None:
        """Forget the masks, after the stack has changed."""
        self._masks.clear()

    def _table(self, segments: Segments) -> torch.Tensor:
        foreign = torch.tensor([[owner != digest for digest, _ in segments] for owner in self._owners])
        return foreign.repeat_interleave(torch.tensor([rank for _, rank in segments]), dim=1)
