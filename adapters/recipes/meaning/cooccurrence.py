"""Where the vectors start: what stands near a word in the texts, as PPMI, and of that the first singular vectors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from adapters.recipes.meaning.texts import Source

_SAME_TURN, _NEXT_TURN = 8, 14
"""How many words on a word still counts as near, within its turn and in the one that follows."""
_CONTEXT_POWER = 0.75
_SPARE = 32
Matrix = npt.NDArray[np.float32]


def start(sources: Iterable[Source], often: npt.NDArray[np.float64], plain: npt.NDArray[np.bool_], size: int) -> Matrix:
    """A vector for each word, the shorter the more frequent it is; nearly none for those that are `plain`."""
    near = np.zeros((len(often), len(often)), np.float32)
    for source in sources:
        _count(source, plain, near)
    near += near.T.copy()
    vectors = _singular(_ppmi(near), size)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    share = often / often.sum()
    vectors *= (1e-3 / (1e-3 + share)).astype(np.float32)[:, None]
    noise = np.random.default_rng(0).standard_normal(vectors.shape, np.float32) * 0.01
    return np.where(plain[:, None], noise, vectors)


def _count(source: Source, plain: npt.NDArray[np.bool_], near: Matrix) -> None:
    turns = [turn[~plain[turn]] for text in source.texts for turn in [*text, np.zeros(0, np.int32)]]
    ids = np.concatenate(turns)
    place = np.repeat(np.arange(len(turns)), [len(turn) for turn in turns])  # between two texts one number stays free
    for step in range(1, _NEXT_TURN + 1):
        one, other, apart = ids[:-step], ids[step:], place[step:] - place[:-step]
        if step <= _SAME_TURN:
            _add(near, one[apart == 0], other[apart == 0], source.share / step**0.5)
        if not source.prose:
            _add(near, one[apart == 1], other[apart == 1], source.share)


def _add(near: Matrix, one: npt.NDArray[np.int32], other: npt.NDArray[np.int32], weight: float) -> None:
    cells, times = np.unique(one.astype(np.int64) * len(near) + other, return_counts=True)
    near.reshape(-1)[cells] += times.astype(np.float32) * weight


def _ppmi(near: Matrix) -> Matrix:
    """Positive pointwise mutual information, in place."""
    context = near.sum(0) ** _CONTEXT_POWER
    near /= np.maximum(near.sum(1, keepdims=True), 1e-9)
    near /= np.maximum(context / context.sum(), 1e-12)
    np.maximum(near, 1, out=near)
    return np.log(near, out=near)


def _singular(matrix: Matrix, size: int) -> Matrix:
    """The first left singular vectors by the roots of their values, by a randomised subspace iteration."""
    basis = np.random.default_rng(0).standard_normal((len(matrix), size + _SPARE), np.float32)
    for _ in range(3):
        basis = np.linalg.qr(matrix @ basis)[0]
        basis = np.linalg.qr(matrix.T @ basis)[0]
    left, values, _ = np.linalg.svd(matrix @ basis, full_matrices=False)
    return np.asarray(left[:, :size] * values[:size] ** 0.5, np.float32)
