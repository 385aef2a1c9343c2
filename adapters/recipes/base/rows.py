"""Rows of one length, each packed with whole documents whose positions start again at 0.

Transformers keeps documents apart where positions restart (no attention mask, no cache), so no fact leaks
from one dialogue into the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from adapters.recipes.base.documents import NO_LABEL, Document

_MISSES_TO_STOP = 6


@dataclass(frozen=True, slots=True)
class Batch:
    """Equal rows of token ids, labels, positions and the weights of labels."""

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    weights: torch.Tensor

    @property
    def tokens(self) -> int:
        """How many token places the batch has, padding included."""
        return self.ids.numel()

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        tensors = (self.ids, self.labels, self.positions, self.weights)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))


def pack(documents: Iterator[Document], *, rows: int, length: int, pad: int) -> Batch:
    """Fill `rows` rows of `length` tokens from a stream; documents that fit nowhere are left out."""
    ids: list[list[int]] = [[] for _ in range(rows)]
    labels: list[list[int]] = [[] for _ in range(rows)]
    positions: list[list[int]] = [[] for _ in range(rows)]
    weights: list[list[float]] = [[] for _ in range(rows)]
    misses = 0
    for document in documents:
        row = next((n for n in range(rows) if len(ids[n]) + len(document) <= length), None)
        if row is None:
            misses += 1
            if misses >= _MISSES_TO_STOP:
                break
            continue
        ids[row] += document.ids
        labels[row] += document.labels
        positions[row] += range(len(document))
        weights[row] += document.weights
    for row in range(rows):
        gap = length - len(ids[row])
        ids[row] += [pad] * gap
        labels[row] += [NO_LABEL] * gap
        positions[row] += range(gap)
        weights[row] += [0.0] * gap
    return Batch(torch.tensor(ids), torch.tensor(labels), torch.tensor(positions), torch.tensor(weights))
