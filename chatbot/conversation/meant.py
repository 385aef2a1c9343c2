"""An index of what was said, by its meaning: where the words of each passage point."""

from collections.abc import Sequence

import numpy as np

from chatbot.conversation.meaning import Vector, direction, size

_NOT_NEAR = 0.2
"""The cosine up to which two texts have nothing in common."""
_GROWTH = 1.25


class Meant:
    """The directions of passages, by their numbers."""

    def __init__(self) -> None:
        self._count = 0
        self._directions = np.zeros((0, size()), np.float32)

    def hold(self, first: int, passages: Sequence[str]) -> None:
        """Forget the passages from a number on, and hold these in their place."""
        self._count = first + len(passages)
        if self._count > len(self._directions):
            grown = np.zeros((int(self._count * _GROWTH), size()), np.float32)
            grown[:first] = self._directions[:first]
            self._directions = grown
        for number, passage in enumerate(passages, first):
            self._directions[number] = direction(passage)

    def nearness(self, question: str) -> Vector:
        """How near each passage is to a question in meaning, from 0 to 1, by its number."""
        cosines = self._directions[: self._count] @ direction(question)
        return np.asarray(np.maximum(0.0, cosines - _NOT_NEAR) / (1 - _NOT_NEAR), np.float32)
