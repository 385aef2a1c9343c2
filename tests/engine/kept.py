"""KV made up for tests: a kind of it, and entries of that kind."""

import torch

from chatbot.engine.kv_entry import KVEntry, KVKind
from chatbot.engine.kv_owner import owner_of

KIND = KVKind(base="b" * 64, layout="plain", dtype=torch.float32, layers=2, kv_heads=2, head_dim=4, vocabulary=1000)
BYTES_PER_TOKEN = 2 * 2 * 2 * 4 * 4


def kept(
    session: str, tokens: list[int], adapter: str | None = None, *, used_at: float = 1.0, kind: KVKind = KIND
) -> KVEntry:
    """Return an entry with random keys and values."""
    keys, values = (torch.randn(kind.sizes(len(tokens))).to(kind.dtype) for _ in range(2))
    return KVEntry(owner_of(session), adapter, tokens, keys, values, used_at)


def is_same(entry: KVEntry | None, other: KVEntry) -> bool:
    """Return whether two entries hold the same KV for the same conversation."""
    return (
        entry is not None
        and (entry.key, entry.tokens) == (other.key, other.tokens)
        and torch.equal(entry.keys, other.keys)
        and torch.equal(entry.values, other.values)
    )
