"""Learning: the words of a turn shall point, in sum, where those of what follows it do, and not elsewhere."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch.nn import functional

from adapters.recipes.meaning.cooccurrence import Matrix
from adapters.recipes.meaning.texts import Ids, Source

STEPS = 1300
_BATCH = 1024
_RATE = 1.5e-3
_WARM_STEPS = 50
_SHARPNESS = 16.0
_SIZE_POWER = 0.75
"""A source's part of the batches grows with the number of its pairs, to this power."""
Pair = tuple[Ids, Ids]


def learnt(start: Matrix, sources: Mapping[str, Source], seed: int, steps: int = STEPS) -> Matrix:
    """The vectors after training; all pairs of a batch are of one source, so that it is no hint."""
    torch.manual_seed(seed)
    vectors = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = torch.optim.Adam([vectors], lr=_RATE)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / _WARM_STEPS) * max(0.02, 1 - step / steps)
    )
    batches = _batches(sources, seed)
    for _ in range(steps):
        loss = _loss(vectors, next(batches))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rate.step()
    return np.asarray(vectors.detach().numpy(), np.float32)


def _loss(vectors: torch.Tensor, batch: list[Pair]) -> torch.Tensor:
    one, other = (_sums(vectors, [pair[side] for pair in batch]) for side in (0, 1))
    near, right = _SHARPNESS * one @ other.T, torch.arange(len(batch))
    return (functional.cross_entropy(near, right) + functional.cross_entropy(near.T, right)) / 2


def _sums(vectors: torch.Tensor, turns: list[Ids]) -> torch.Tensor:
    ids = torch.from_numpy(np.concatenate(turns).astype(np.int64))
    first = torch.from_numpy(np.cumsum([0, *map(len, turns[:-1])]))
    return functional.normalize(functional.embedding_bag(ids, vectors, first, mode="sum"), dim=1)


def _batches(sources: Mapping[str, Source], seed: int) -> Iterator[list[Pair]]:
    rng = random.Random(seed)
    pairs = {name: source.pairs(rng) for name, source in sources.items()}
    pairs = {name: found for name, found in pairs.items() if found}
    weights = [sources[name].share * len(found) ** _SIZE_POWER for name, found in pairs.items()]
    left: dict[str, list[Pair]] = {name: [] for name in pairs}
    while True:
        name = rng.choices(list(pairs), weights)[0]
        if len(left[name]) < min(_BATCH, len(pairs[name])):
            left[name] = rng.sample(pairs[name], len(pairs[name]))
        batch, left[name] = left[name][:_BATCH], left[name][_BATCH:]
        yield batch


def average(several: list[Matrix]) -> Matrix:
    """The mean of what was learnt with several seeds from the same start: less of each one's chance is in it."""
    return np.asarray(np.mean(several, axis=0), np.float32)
