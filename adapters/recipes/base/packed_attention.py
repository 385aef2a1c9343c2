"""Attention within the documents of one long row, by their bounds instead of a mask: what CUDA's flash kernels do best.

A mask of 65,536 by 65,536 would not fit, and rows of equal length would waste places and need a mask all the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

flash = torch.ops.aten._flash_attention_forward
PACKED = "packed"
"""The name by which transformers knows it (`attn_implementation`)."""


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of one row `[1, heads, tokens, dim]`; `[1, tokens, heads, dim]` comes out, in bfloat16.

    `cu_seq_lens_q` `[documents + 1]` says where documents begin, `max_length_q` how long one may be. The operator is
    the one below `torch.nn.attention.varlen`, whose own arguments differ between torch 2.11 and 2.13.
    """
    rows = (each[0].transpose(0, 1).bfloat16() for each in (query, key, value))
    bounds = (cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q)
    dropout, is_causal, returns_mask = 0.0, True, False
    return flash(*rows, *bounds, dropout, is_causal, returns_mask, scale=scaling)[0][None], None


AttentionInterface.register(PACKED, packed_attention)
