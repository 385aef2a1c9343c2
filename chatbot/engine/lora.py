"""Adds LoRA adapters to the linears of a model, a different one for each row of a batch if need be.

The adapters in use are stacked; a step computes all of them and masks by row, which needs no gather and no kernel
(8.6 times PEFT's mixed batches at 8 adapters). When all rows share one adapter, its slice is used without a mask.
With no adapter in use the model holds its plain linears.
A site is a linear of the model that runs; it may hold several linears of the base model side by side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from chatbot.engine.adapter_files import LoraAdapter, LoraPair

Members = tuple[LoraAdapter, ...]
Segments = tuple[tuple[str, int], ...]
"""Digest and rank of each adapter along the rank of a stack."""


class Tree(Protocol):
    """What has linears as attributes: a module, or whatever finds its parts by dotted names as a module does."""

    def get_submodule(self, target: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One linear of the base model within a site."""

    name: str
    rows: torch.Tensor | None = None
    """Where each of its outputs is among the site's; None if it is all of the site."""


Sites = Mapping[str, tuple[Part, ...]]


@dataclass(frozen=True, slots=True)
class Stack:
    """The updates of several adapters for one site, side by side along the rank."""

    segments: Segments
    down: torch.Tensor
    """`[in_features, sum of ranks]`."""
    up: torch.Tensor
    """`[sum of ranks, out_features]`."""
    single: dict[str, tuple[torch.Tensor, torch.Tensor]]
    """Views of `down` and `up` by digest, for an adapter that is alone."""

    @classmethod
    def of(cls, parts: Sequence[Part], adapters: Members) -> "Stack":
        """Stack what the adapters that change this site do to it."""
        joined = {adapter.digest: _join(parts, adapter) for adapter in adapters}
        pairs = {digest: pair for digest, pair in joined.items() if pair is not None}
        down = torch.cat([pair.down for pair in pairs.values()]).T.contiguous()
        up = torch.cat([pair.up.T for pair in pairs.values()]).contiguous()
        single, first = {}, 0
        for digest, pair in pairs.items():
            span = slice(first, first + pair.down.shape[0])
            single[digest] = (down[:, span], up[span])
            first = span.stop
        return cls(tuple((digest, pair.down.shape[0]) for digest, pair in pairs.items()), down, up, single)


def _join(parts: Sequence[Part], adapter: LoraAdapter) -> LoraPair | None:
    """Return an adapter's update of a whole site, each part's in its own rows; None if it changes none of them."""
    found = [(part, adapter.pairs[part.name]) for part in parts if part.name in adapter.pairs]
    if not found or parts[0].rows is None:
        return found[0][1] if found else None
    outputs = sum(len(part.rows) for part in parts if part.rows is not None)
    ups = []
    for part, pair in found:
        up = pair.up.new_zeros(outputs, pair.up.shape[1])
        up[part.rows] = pair.up
        ups.append(up)
    return LoraPair(torch.cat([pair.down for _, pair in found]), torch.cat(ups, dim=1))


class AdaptedLinear(nn.Module):
    """A linear with the adapters of the current step on top."""

    def __init__(self, plain: Any, bank: "LoraBank", stack: Stack) -> None:  # a module, or a format of formats.py
        super().__init__()
        self.plain = plain
        self.bank = bank
        self.stack = stack

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `plain(x)` plus each row's own update; x is `[..., in_features]`, rows in the order of `use`."""
        y: torch.Tensor = self.plain(x)
        self._update(y.view(-1, y.shape[-1]), x.reshape(-1, x.shape[-1]))
        return y

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> None:
        """Add the same to `residual`, both `[rows, features]`."""
        self.plain.add_to(residual, x)
        self._update(residual, x)

    def _update(self, y: torch.Tensor, x: torch.Tensor) -> None:
        bank, stack = self.bank, self.stack
        if bank.alone is not None:
            if bank.alone in stack.single:
                down, up = stack.single[bank.alone]
                y.addmm_(x @ down, up)
        elif bank.owners is not None:
            y.addmm_((x @ stack.down).mul_(bank.mask(stack.segments, x)), stack.up)


class LoraBank:
    """The adapters of one model and which of them the rows of the current step use."""

    def __init__(self, model: Tree, sites: Sites | None = None) -> None:
        """Serve the linears of a model; by default each linear of the base model is a site of its own."""
        self._model = model
        self._sites = sites or {}
        self._site_of = {part.name: site for site, parts in self._sites.items() for part in parts}
        self._stacked: Members = ()
        self._wrapped: dict[str, AdaptedLinear] = {}
        self._masks: dict[Segments, torch.Tensor] = {}
        self.alone: str | None = None
        """Digest of the one adapter that all rows of this step use."""
        self.owners: list[str | None] | None = None
        """Digest per row where rows differ; None if they do not."""

    @property
    def stacked(self) -> Members:
        return self._stacked

    def use(self, rows: Sequence[LoraAdapter | None]) -> None:
        """Say which adapter each row of the coming forward uses."""
        active = {adapter.digest: adapter for adapter in rows if adapter is not None}
        self.alone = None
        if not active:
            self.owners = None
            return
        if not self._covers(active):
            self._restack(tuple(active.values()))
        if len(active) == 1 and None not in rows:
            self.alone, self.owners = next(iter(active)), None
            return
        owners = [None if adapter is None else adapter.digest for adapter in rows]
        if owners != self.owners:
            self.owners = owners
            self._masks.clear()

    def release(self, keep: set[str]) -> None:
        """Drop the stack and give the model its plain linears back if it holds an adapter not in `keep`."""
        if any(adapter.digest not in keep for adapter in self._stacked):
            self._restack(())

    def mask(self, segments: Segments, like: torch.Tensor) -> torch.Tensor:
        """Return `[rows, sum of ranks]`: one where a row owns that part of the stack, else zero."""
        if segments not in self._masks:
            assert self.owners is not None
            table = [[owner == digest for digest, _ in segments] for owner in self.owners]
            repeats = torch.tensor([rank for _, rank in segments])
            mask = torch.tensor(table).repeat_interleave(repeats, dim=1)
            self._masks[segments] = mask.to(like.device, like.dtype)
        return self._masks[segments]

    def _covers(self, active: dict[str, LoraAdapter]) -> bool:
        """Whether the stack has all active adapters and not so many others that a new one is worth its cost."""
        stacked = {adapter.digest for adapter in self._stacked}
        return active.keys() <= stacked and len(stacked) <= 2 * len(active)

    def _restack(self, adapters: Members) -> None:
        for site, wrapped in self._wrapped.items():
            self._put(site, wrapped.plain)
        self._wrapped = {}
        self._stacked = adapters
        self._masks.clear()
        for site in {self._site_of.get(name, name) for adapter in adapters for name in adapter.pairs}:
            parts = self._sites.get(site, (Part(site),))
            parent, leaf = self._parent(site)
            wrapped = AdaptedLinear(getattr(parent, leaf), self, Stack.of(parts, adapters))
            self._wrapped[site] = wrapped
            setattr(parent, leaf, wrapped)

    def _put(self, site: str, linear: Callable[[torch.Tensor], torch.Tensor]) -> None:
        parent, leaf = self._parent(site)
        setattr(parent, leaf, linear)

    def _parent(self, site: str) -> tuple[Any, str]:
        """Return what holds a site as an attribute, and the attribute's name."""
        parent, _, leaf = site.rpartition(".")
        return self._model.get_submodule(parent), leaf
