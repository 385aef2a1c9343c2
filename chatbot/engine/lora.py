"""Adds LoRA adapters to the linears of a model, a different one for each row of a batch if need be.

The adapters of a mixed step are stacked; it computes all of them and masks by row, which needs no gather and no kernel.
Where all rows share one adapter it is used without a mask, and beside the stack: prompts, each under one adapter, come
between the mixed steps of others, and must not cost a stack made anew.
A model that holds no adapter has its plain linears. A site is a linear of the model that runs; it may hold several
linears of the base model side by side.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Protocol

import torch
from torch import nn

from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.lora_stack import Alone, Part, RowMasks, Segments, Stack

MOST_ALONE = 16
"""Adapters laid out to be used alone; beyond that the one used longest ago has to be laid out again."""

PATIENCE_STEPS = 16
"""How long a stack of which little is used is kept: conversations that begin one by one will soon use all of it."""


class Tree(Protocol):
    """What has linears as attributes: a module, or whatever finds its parts by dotted names as a module does."""

    def get_submodule(self, target: str) -> Any: ...


Sites = Mapping[str, tuple[Part, ...]]


class AdaptedLinear(nn.Module):
    """A linear with the adapters of the current step on top."""

    def __init__(self, plain: Any, bank: "LoraBank") -> None:  # a module, or a format of formats.py
        super().__init__()
        self.plain = plain
        self.bank = bank
        self.alone: dict[str, Alone] = {}
        """By digest."""
        self.stack: Stack | None = None

    @property
    def held(self) -> set[str]:
        """Digests of the adapters that are laid out here."""
        stacked = {digest for digest, _ in self.stack.segments} if self.stack is not None else set()
        return stacked | self.alone.keys()

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
        bank = self.bank
        if bank.alone is not None:
            if bank.alone in self.alone:
                self.alone[bank.alone].add_to(y, x)
        elif bank.is_mixed and self.stack is not None:
            self.stack.add_to(y, x, bank.foreign(self.stack.segments, x.device))


class LoraBank:
    """The adapters of one model and which of them the rows of the current step use."""

    def __init__(self, model: Tree, sites: Sites | None = None) -> None:
        """Serve the linears of a model; by default each linear of the base model is a site of its own."""
        self._model = model
        self._sites = sites or {}
        self._site_of = {part.name: site for site, parts in self._sites.items() for part in parts}
        self._wrapped: dict[str, AdaptedLinear] = {}
        self._stacked: tuple[LoraAdapter, ...] = ()
        self._crowded_steps = 0
        """For how many mixed steps most of the stack has not been used."""
        self._laid_out: dict[str, int] = {}
        """Those laid out to be used alone, with the number of their layout; the one used last is at the end."""
        self._layouts = count(1)
        self._stack_layout = 0
        self._masks = RowMasks()
        self.layout = 0
        """Number of what this step adds: an equal number means the same weights at the same addresses; 0 is nothing."""
        self.alone: str | None = None
        """Digest of the one adapter that all rows of this step use."""
        self.is_mixed = False
        """Whether the rows of this step use several adapters, or one of them none."""

    @property
    def held(self) -> set[str]:
        """Digests of the adapters that the model's linears hold, also of one whose layout failed half-way."""
        return {digest for wrapped in self._wrapped.values() for digest in wrapped.held}

    def use(self, rows: Sequence[LoraAdapter | None]) -> None:
        """Say which adapter each row of the coming forward uses."""
        active = {adapter.digest: adapter for adapter in rows if adapter is not None}
        is_alone = len(active) == 1 and None not in rows
        self.alone = next(iter(active)) if is_alone else None
        self.is_mixed = bool(active) and not is_alone
        if self.alone is not None:
            self.layout = self._lay_out(active[self.alone])
        elif self.is_mixed:
            self.layout = self._mix(active, [None if adapter is None else adapter.digest for adapter in rows])
        else:
            self.layout = 0

    def release(self, keep: set[str]) -> None:
        """Give the model its plain linears back if they hold an adapter not in `keep`."""
        if self.held <= keep:
            return
        for site, wrapped in self._wrapped.items():
            self._put(site, wrapped.plain)
        self._wrapped, self._stacked, self._laid_out = {}, (), {}
        self._masks.clear()

    def foreign(self, segments: Segments, device: torch.device) -> torch.Tensor:
        """Return `[rows, sum of ranks]`: true where that part of the stack is not the row's."""
        return self._masks.foreign(segments, device)

    def _lay_out(self, adapter: LoraAdapter) -> int:
        """Have an adapter ready to be used alone and return the number of its layout."""
        layout = self._laid_out.pop(adapter.digest, None)
        if layout is None:
            for site in self._changed_by([adapter]):
                self._wrap(site).alone[adapter.digest] = Alone.of(self._parts(site), adapter)
            layout = next(self._layouts)
        self._laid_out[adapter.digest] = layout  # only now: memory may have run out half-way
        if len(self._laid_out) > MOST_ALONE:
            oldest = next(iter(self._laid_out))
            del self._laid_out[oldest]
            for wrapped in self._wrapped.values():
                wrapped.alone.pop(oldest, None)
            self._unwrap_bare()
        return layout

    def _mix(self, active: dict[str, LoraAdapter], owners: list[str | None]) -> int:
        """Have the adapters stacked and each row's mask ready; return the number of the stack's layout."""
        if not self._covers(active):
            self._restack(tuple(active.values()))
        self._masks.own(owners)
        return self._stack_layout

    def _covers(self, active: dict[str, LoraAdapter]) -> bool:
        """Whether the stack has all active adapters and not, for several steps already, more others than those."""
        stacked = {adapter.digest for adapter in self._stacked}
        self._crowded_steps = self._crowded_steps + 1 if len(stacked) > 2 * len(active) else 0
        return active.keys() <= stacked and self._crowded_steps <= PATIENCE_STEPS

    def _restack(self, adapters: tuple[LoraAdapter, ...]) -> None:
        self._stacked, self._crowded_steps = (), 0
        self._masks.clear()
        for wrapped in self._wrapped.values():
            wrapped.stack = None
        for site in self._changed_by(adapters):
            self._wrap(site).stack = Stack.of(self._parts(site), adapters)
        self._stacked, self._stack_layout = adapters, next(self._layouts)  # only now: memory may have run out half-way
        self._unwrap_bare()

    def _changed_by(self, adapters: Sequence[LoraAdapter]) -> set[str]:
        return {self._site_of.get(name, name) for adapter in adapters for name in adapter.pairs}

    def _parts(self, site: str) -> tuple[Part, ...]:
        return self._sites.get(site, (Part(site),))

    def _wrap(self, site: str) -> AdaptedLinear:
        """Return the wrapped linear of a site, wrapping it if need be."""
        if site not in self._wrapped:
            parent, leaf = self._parent(site)
            self._wrapped[site] = AdaptedLinear(getattr(parent, leaf), self)
            setattr(parent, leaf, self._wrapped[site])
        return self._wrapped[site]

    def _unwrap_bare(self) -> None:
        for site in [site for site, wrapped in self._wrapped.items() if not wrapped.held]:
            self._put(site, self._wrapped.pop(site).plain)

    def _put(self, site: str, linear: Any) -> None:
        parent, leaf = self._parent(site)
        setattr(parent, leaf, linear)

    def _parent(self, site: str) -> tuple[Any, str]:
        """Return what holds a site as an attribute, and the attribute's name."""
        parent, _, leaf = site.rpartition(".")
        return self._model.get_submodule(parent), leaf
