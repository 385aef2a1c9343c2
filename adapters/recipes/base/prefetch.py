"""Batches made ahead in other processes, for machines on which writing dialogues is slower than learning from them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Protocol

import numpy as np
import torch

from adapters.recipes.base.mixture import Mixture, Stage
from adapters.recipes.base.rows import Batch

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A batch as it travels: by value, for tensors would each hold a file descriptor until they are used."""


class Batches(Protocol):
    """Gives the batch of a step; a mixture itself is one."""

    def batch(self, stage: Stage, step: int, *, is_late: bool = False) -> Batch:
        """The batch of this step."""
        ...


class Prefetch:
    """The same batches as the mixture's, made `depth` steps ahead."""

    def __init__(self, pool: ProcessPoolExecutor, depth: int) -> None:
        self._pool = pool
        self._depth = depth
        self._coming: dict[tuple[Stage, int, bool], Future[Arrays]] = {}

    def batch(self, stage: Stage, step: int, *, is_late: bool = False) -> Batch:
        """The batch of this step; what was made for a stage that ended meanwhile is thrown away."""
        for ahead in range(step, step + self._depth):
            key = (stage, ahead, is_late)
            if key not in self._coming:
                self._coming[key] = self._pool.submit(_make, *key)
        arrays = self._coming.pop((stage, step, is_late)).result()
        self._coming = {key: future for key, future in self._coming.items() if key[1] > step}
        return Batch(*map(torch.from_numpy, arrays))


@contextmanager
def prefetched(mixture: Mixture, workers: int) -> Iterator[Batches]:
    """The mixture's batches from this many processes; from the mixture itself where there are none."""
    if not workers:
        yield mixture
        return
    with TemporaryDirectory() as folder:
        shared = Path(folder, "mixture")
        shared.write_bytes(pickle.dumps(mixture))  # by a pipe, each process would start only after the one before
        with ProcessPoolExecutor(workers, get_context("spawn"), _adopt, (shared,)) as pool:
            try:
                yield Prefetch(pool, depth=4 * workers)
            finally:
                pool.shutdown(cancel_futures=True)


_mixture: Mixture | None = None


def _adopt(shared: Path) -> None:
    global _mixture  # a process of the pool serves one mixture for its whole life
    _mixture = pickle.loads(shared.read_bytes())  # noqa: S301 - written by this run
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A run that is killed cannot end its pool; without this the processes would stay for ever."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _make(stage: Stage, step: int, is_late: bool) -> Arrays:
    assert _mixture is not None
    batch = _mixture.batch(stage, step, is_late=is_late)
    return batch.ids.numpy(), batch.positions.numpy(), batch.weights.numpy()
