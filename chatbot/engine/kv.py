"""The key and value tensors of all slots, head-major: `[layers, slots, kv_heads, max_len, head_dim]`."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from chatbot.engine.base import ModelNotFound

KV_SHARE = 0.5
"""Part of the free memory that KV may take; the rest is for prompts being computed and for everybody else."""
CACHE_LINE = 64
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KVShape:
    """Size of the KV that a model needs for `slots` conversations of at most `max_len` tokens."""

    layers: int
    slots: int
    kv_heads: int
    max_len: int
    head_dim: int

    @classmethod
    def of(cls, config: Any, *, slots: int, max_len: int) -> "KVShape":  # a transformers configuration; untyped
        """Read the sizes from a transformers configuration. Raises ModelNotFound if there are none for all layers."""
        try:
            heads = config.num_attention_heads
            return cls(
                layers=config.num_hidden_layers,
                slots=slots,
                kv_heads=getattr(config, "num_key_value_heads", None) or heads,
                max_len=max_len,
                head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            )
        except (AttributeError, RuntimeError) as error:  # the latter for a size that differs from layer to layer
            raise ModelNotFound(
                f"{config.model_type}: expected attention of one size in all layers: {error}"
            ) from error

    def bytes_per_slot(self, dtype: torch.dtype) -> int:
        """Return the memory of one conversation at full length."""
        return 2 * self.layers * self.kv_heads * self.max_len * self.head_dim * dtype.itemsize

    def fitted(self, dtype: torch.dtype, free_bytes: int) -> "KVShape":
        """Return the same shape with as many of its slots as half of the free memory holds, at least one."""
        room = int(free_bytes * KV_SHARE) // self.bytes_per_slot(dtype)
        if room >= self.slots:
            return self
        log.warning("memory for %d of %d conversations at once; lower context_tokens for more", room, self.slots)
        return replace(self, slots=max(1, room))


class SlotKV:
    """Keys and values of every layer and slot."""

    def __init__(self, shape: KVShape, *, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape
        self.keys = _zeros(shape, dtype, device)
        self.values = _zeros(shape, dtype, device)
        self.flat_keys = [layer.view(-1, shape.head_dim) for layer in self.keys]
        """Per layer, one row per (slot, head, position): a decode step writes all its rows with one index_copy."""
        self.flat_values = [layer.view(-1, shape.head_dim) for layer in self.values]
        heads = (-1, shape.max_len, shape.head_dim)
        self.key_columns = [layer.view(heads).transpose(1, 2) for layer in self.keys]
        """Per layer `[slots * kv_heads, head_dim, max_len]`, ready to be multiplied with queries."""
        self.value_rows = [layer.view(heads) for layer in self.values]
        """Per layer `[slots * kv_heads, max_len, head_dim]`."""
        self._written: dict[int, int] = {}
        """How many positions of a slot may hold something, by slot; the others were never used."""

    def note_written(self, slot: int, length: int) -> None:
        """Say that the first `length` positions of a slot are about to be written."""
        if length > self._written.get(slot, 0):
            self._written[slot] = length

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot into another (0.1 to 1 ms for a persona's prompt)."""
        self.note_written(target, length)
        for tensor in (self.keys, self.values):
            tensor[:, target, :, :length] = tensor[:, source, :, :length]

    def wipe(self, slot: int, length: int) -> None:
        """Set the first `length` positions of a slot to zero.

        What is masked is still multiplied by zero, and zero times what is not a number is not a number.
        """
        for tensor in (self.keys, self.values):
            tensor[:, slot, :, :length] = 0

    def wipe_written(self, slot: int) -> None:
        """Set all that was ever written into a slot to zero; the rest is zero, and may have no memory yet."""
        self.wipe(slot, self._written.pop(slot, 0))

    def is_finite(self, slot: int, position: int) -> bool:
        """Tell whether all of one position is finite; what is not a number there reaches every later position."""
        return all(bool(tensor[:, slot, :, position].isfinite().all()) for tensor in (self.keys, self.values))

    def save(self, slot: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return copies of a slot's first keys and values `[layers, kv_heads, length, head_dim]` in host memory."""
        keys, values = (self._saved(tensor[:, slot, :, :length]) for tensor in (self.keys, self.values))
        return keys, values

    def restore(self, slot: int, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        """Copy the first `length` positions of saved keys and values into a slot."""
        self.note_written(slot, length)
        for tensor, saved in ((self.keys, keys), (self.values, values)):
            tensor[:, slot, :, :length].copy_(saved[:, :, :length])

    def _saved(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a contiguous copy; its memory is pinned if it has to travel, which is several times as fast."""
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        return copy.copy_(tensor)


def _zeros(shape: KVShape, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return a zero tensor; on the CPU its pages cost memory only once they are written."""
    sizes = (shape.layers, shape.slots, shape.kv_heads, shape.max_len, shape.head_dim)
    if device.type != "cpu":
        return torch.zeros(sizes, dtype=dtype, device=device)
    count = int(np.prod(sizes)) * dtype.itemsize
    raw = np.zeros(count + CACHE_LINE, dtype=np.uint8)  # calloc: untouched pages stay unmapped
    first = -raw.ctypes.data % CACHE_LINE  # a vector across two lines is read twice
    return torch.from_numpy(raw[first : first + count]).view(dtype).view(sizes)
