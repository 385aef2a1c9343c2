"""The KV of one conversation outside its slot, and what it must have in common with an engine to be of use there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from chatbot.engine.kv import SlotKV
from chatbot.engine.slots import common_prefix

Key = tuple[str, str | None]
"""Owner and adapter: a conversation has KV of its own under each adapter."""


@dataclass(frozen=True, slots=True)
class KVKind:
    """All that KV depends on besides tokens and adapter; KV of one kind means nothing to another."""

    base: str
    """Content digest of the base model."""
    layout: str
    """How the network arranges a head's numbers; see `Network.kv_layout`."""
    dtype: torch.dtype
    layers: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    @classmethod
    def of(cls, kv: SlotKV, *, base: str, layout: str, vocabulary: int) -> "KVKind":
        """Return the kind of what is in these slots."""
        shape = kv.shape
        return cls(base, layout, kv.keys.dtype, shape.layers, shape.kv_heads, shape.head_dim, vocabulary)

    def sizes(self, tokens: int) -> tuple[int, int, int, int]:
        """Return the sizes of the keys, and of the values, of so many tokens."""
        return self.layers, self.kv_heads, tokens, self.head_dim


@dataclass(frozen=True, slots=True, eq=False)
class KVEntry:
    """Keys and values of a conversation's first tokens, in host memory. Never changed once made."""

    owner: str
    adapter: str | None
    """Content digest of the adapter that made the KV; None is the plain base."""
    tokens: list[int]
    keys: torch.Tensor
    """`[layers, kv_heads, tokens, head_dim]`, contiguous, as are the values."""
    values: torch.Tensor
    used_at: float
    """When the conversation last used it, in seconds since the epoch."""

    @property
    def key(self) -> Key:
        return self.owner, self.adapter

    @property
    def size_bytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes


def longest(entries: Iterable[KVEntry], prompt: Sequence[int], adapter: str | None) -> tuple[KVEntry | None, int]:
    """Return the entry that begins with most of the prompt under this adapter, and how many tokens that is."""
    best, length = None, 0
    for entry in entries:
        if entry.adapter == adapter and (shared := common_prefix(entry.tokens, prompt)) > length:
            best, length = entry, shared
    return best, length
