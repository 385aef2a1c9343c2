"""Attention over KV slots, plugged into unmodified transformers models under the name `chatbot_slots`.

A name without a mask function makes transformers pass no mask at all; causality is ours. Each forward gets a plan as
the keyword `slots`, made once per step and shared by all layers:

* DecodePlan (decode_plan.py): few new tokens for each of many rows.
* PrefillPlan: several chunks of prompts.

Both take the tokens of all chunks side by side, input `[1, sum of lengths]`, each chunk causal over its own slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch.nn.attention.bias import causal_lower_right
from transformers import AttentionInterface

from chatbot.engine.kv import SlotKV

NAME = "chatbot_slots"
WINDOWED_LAYERS = ("sliding_attention", "chunked_attention")
"""What transformers calls layers that see only what is near."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """New tokens of one conversation, to be computed after the `start` tokens already in its slot."""

    slot: int
    start: int
    tokens: Sequence[int]
    wants_logits: bool = True
    """Whether a prompt goes no further than this, so that something is drawn after its last token."""

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)


def drawn_after(chunks: Sequence[Chunk]) -> list[int]:
    """Return where the last tokens of those chunks that want logits are among the tokens of all."""
    ends = accumulate(len(chunk.tokens) for chunk in chunks)
    return [end - 1 for chunk, end in zip(chunks, ends, strict=True) if chunk.wants_logits]


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


class PrefillPlan:
    """Chunks of any length, one after the other in a single sequence."""

    def __init__(self, kv: SlotKV, chunks: Sequence[Chunk]) -> None:
        self._kv = kv
        self._chunks = chunks
        # With a mask of numbers and grouped heads, torch falls back to a kernel that writes all scores to memory.
        self._has_flash = kv.keys.is_cuda and kv.keys.dtype != torch.float32
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
                ).transpose(1, 2)
            )
            first = here.stop
        output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        return output.contiguous()  # as transformers' own functions do: some models take a view of it

    def _mask(self, chunk: Chunk, window: int | None) -> torch.Tensor | None:
        key = (chunk.start, len(chunk.tokens), window)
        if key not in self._masks:
            self._masks[key] = self._make_mask(chunk, window)
        return self._masks[key]

    def _make_mask(self, chunk: Chunk, window: int | None) -> torch.Tensor | None:
        """Return a mask `[length, end]`, or None where plain causal attention does."""
        if window is None or chunk.end <= window:
            if chunk.start == 0:
                return None
            if self._has_flash:
                return causal_lower_right(len(chunk.tokens), chunk.end)
        position = torch.arange(chunk.end, device=self._kv.keys.device)
        query = position[chunk.start :, None]
        seen = position <= query
        if window is not None:
            seen &= position > query - window
        return seen


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
    if sliding_window is None and _has_window(module):
        raise ValueError("attention whose window is in the mask alone is not supported")
    layer = module.layer_idx
    assert isinstance(layer, int)
    return slots.attend(layer, query, key, value, scaling, sliding_window), None


def _has_window(module: torch.nn.Module) -> bool:
    """Tell whether a layer is to see only what is near, by its config: some models hand that to the mask alone."""
    config = getattr(module, "config", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        return bool(getattr(config, "sliding_window", None))
    return kinds[module.layer_idx] in WINDOWED_LAYERS


AttentionInterface.register(NAME, slot_attention)
