"""A faster way of computing some steps of a network: recorded as CUDA graphs on a GPU, compiled on a CPU."""

from collections.abc import Sequence
from typing import Protocol

import torch

from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.attention import Chunk


class Shortcut(Protocol):
    """Computes what a runner computes, or says that a step is not for it."""

    @property
    def is_broken(self) -> bool:
        """Whether it failed once and is not used any more."""

    @property
    def held(self) -> set[str]:
        """Digests of the adapters for which something was made that the bank does not hold."""

    def decode(self, chunks: Sequence[Chunk], adapters: Sequence[LoraAdapter | None]) -> torch.Tensor | None:
        """Return the logits `[tokens, vocabulary]` after each token, or None for a step that is not for it."""

    def prefill(self, chunks: Sequence[Chunk], adapter: LoraAdapter | None) -> torch.Tensor | None:
        """Return the logits `[wanted, vocabulary]` after chunks that want them, or None for a step not for it."""

    def release(self, keep: set[str]) -> None:
        """Free what was made for adapters whose digests are not in `keep`."""

    def clear(self) -> None:
        """Free all that can be made again."""
