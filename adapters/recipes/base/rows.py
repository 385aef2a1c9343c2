"""Rows of one length, each packed with whole documents whose positions start again at 0.

No fact leaks from one dialogue into the next: attention ends where a document does, which it can tell from the
positions (transformers, with neither mask nor cache) or from `Batch.starts` (`packed_attention`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from adapters.recipes.base.documents import Document
from adapters.recipes.base.tokenizer import CONTEXT

_MISSES_TO_STOP = 6


@dataclass(frozen=True, slots=True)
class Batch:
    """Equal rows of token ids, positions and weights, `[rows, tokens]`; a token of weight 0 is not learnt."""

    ids: torch.Tensor
    positions: torch.Tensor
    weights: torch.Tensor

    @property
    def tokens(self) -> int:
        """How many token places the batch has, padding included."""
        return self.ids.numel()

    @property
    def learnt(self) -> torch.Tensor:
        """The places `[learnt]`, rows laid end to end, whose next token is learnt."""
        following = torch.zeros_like(self.weights)
        following[:, :-1] = self.weights[:, 1:]
        return following.flatten().nonzero().flatten()

    @property
    def starts(self) -> torch.Tensor:
        """Where each document begins, rows laid end to end, and at last the number of tokens: `[documents + 1]`."""
        begins = (self.positions.flatten() == 0).nonzero().flatten()
        return torch.cat([begins, torch.tensor([self.tokens])]).int()

    @property
    def context(self) -> float:
        """How long the document is that a token is in, on average."""
        lengths = self.starts.diff().double()
        return float((lengths**2).sum() / self.tokens)


def pack(documents: Iterator[Document], *, rows: int, length: int, pad: int) -> Batch:
    """Fill `rows` rows of `length` tokens from a stream; documents that fit nowhere are left out."""
    ids = np.full((rows, length), pad, np.int64)
    positions = np.zeros((rows, length), np.int64)
    weights = np.zeros((rows, length), np.float32)
    used = np.zeros(rows, np.int64)
    misses = 0
    for document in documents:
        row = int(np.argmin(used + len(document) > length))
        begin, end = used[row], used[row] + len(document)
        if end > length:
            misses += 1
            if misses >= _MISSES_TO_STOP:
                break
            continue
        ids[row, begin:end] = document.ids
        positions[row, begin:end] = np.arange(len(document))
        weights[row, begin:end] = document.weights
        used[row] = end
    for row, end in enumerate(used):
        positions[row, end:] = np.arange(length - end) % CONTEXT
    return Batch(torch.from_numpy(ids), torch.from_numpy(positions), torch.from_numpy(weights))
