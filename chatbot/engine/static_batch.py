"""A batch of fixed shape whose inputs stay where they are: what a CUDA graph can compute again without any Python.

Real batches are padded to the shape by saying something twice: a token's copy stands at the same position of the same
slot, so it writes what the token writes and sees what it sees. No slot is set aside for padding, and nothing is written
that does not belong there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812

from chatbot.engine.attention import Chunk
from chatbot.engine.kv import SlotKV

SHORTEST_REACH = 256


@dataclass(frozen=True, slots=True)
class BatchShape:
    """So many rows of so many tokens each, which see the first `reach` positions of their slots."""

    rows: int
    length: int
    reach: int

    @classmethod
    def holding(cls, chunks: Sequence[Chunk], max_len: int) -> "BatchShape":
        """Return the smallest shape of powers of two that holds the chunks."""
        reach = max(SHORTEST_REACH, _power_of_two(max(chunk.end for chunk in chunks)))
        longest = max(len(chunk.tokens) for chunk in chunks)
        return cls(_power_of_two(len(chunks)), _power_of_two(longest), min(reach, max_len))

    @property
    def tokens(self) -> int:
        return self.rows * self.length


class StaticBatch:
    """The inputs of such a batch and its attention; a plan of attention.py."""

    def __init__(self, kv: SlotKV, shape: BatchShape) -> None:
        self.shape = shape
        self._kv = kv
        inputs = torch.zeros(2 * shape.tokens + shape.rows, dtype=torch.long, device=kv.keys.device)
        self._inputs = inputs
        self.tokens, self.positions = inputs[: shape.tokens], inputs[shape.tokens : 2 * shape.tokens]
        self._slots = inputs[2 * shape.tokens :]
        self.ends = torch.arange(1, shape.rows + 1, device=kv.keys.device) * shape.length - 1
        """Where each row's last token is."""
        self._masks: dict[int | None, torch.Tensor] = {}

    def load(self, chunks: Sequence[Chunk]) -> None:
        """Take in a step's chunks, which must fit the shape."""
        rows, length = self.shape.rows, self.shape.length
        padded = [*chunks, *[chunks[-1]] * (rows - len(chunks))]
        tokens = [token for chunk in padded for token in _stretched(chunk.tokens, length)]
        positions = [at for chunk in padded for at in _stretched(range(chunk.start, chunk.end), length)]
        self._inputs.copy_(torch.tensor([*tokens, *positions, *(chunk.slot for chunk in padded)]))

    def places(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return where the tokens of the chunks are among those of the batch."""
        length = self.shape.length
        numbers = [row * length + at for row, chunk in enumerate(chunks) for at in range(len(chunk.tokens))]
        return torch.tensor(numbers, device=self._inputs.device)

    def begin(self) -> None:
        """Compute from the inputs what all layers share; a part of the forward."""
        kv = self._kv.shape
        slots = self._slots[:, None, None] * (kv.kv_heads * kv.max_len)
        heads = torch.arange(kv.kv_heads, device=slots.device) * kv.max_len
        self._places = (slots + self._by_row[:, :, None] + heads).view(-1)

    def end(self) -> None:
        """Let go of what all layers shared: a graph has it in memory of its own."""
        self._masks.clear()

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float | None,
        window: int | None,
    ) -> torch.Tensor:
        heads, dim = query.shape[1], query.shape[3]
        rows, length, kv_heads = self.shape.rows, self.shape.length, self._kv.shape.kv_heads
        for new, flat in ((key, self._kv.flat_keys), (value, self._kv.flat_values)):
            flat[layer].index_copy_(0, self._places, new[0].transpose(0, 1).reshape(-1, dim))
        keys, values = (self._seen(tensor[layer]) for tensor in (self._kv.keys, self._kv.values))
        grouped = query.view(kv_heads, heads // kv_heads, rows, length, dim).permute(2, 0, 1, 3, 4)
        output = F.scaled_dot_product_attention(
            grouped.reshape(rows, kv_heads, -1, dim),
            keys,
            values,
            attn_mask=self._mask(heads // kv_heads, window),
            scale=scale,
        )
        apart: torch.Tensor = output.view(rows, kv_heads, heads // kv_heads, length, dim)
        return apart.permute(0, 3, 1, 2, 4).reshape(1, rows * length, heads, dim)

    @property
    def _by_row(self) -> torch.Tensor:
        return self.positions.view(self.shape.rows, self.shape.length)

    def _seen(self, slots: torch.Tensor) -> torch.Tensor:
        """Return a copy of what the rows may see `[rows, kv_heads, reach, dim]`: which slots those are may change."""
        return slots[:, :, : self.shape.reach].index_select(0, self._slots)

    def _mask(self, group: int, window: int | None) -> torch.Tensor:
        """Return the additive mask `[rows, 1, group * length, reach]`."""
        if window not in self._masks:
            position = torch.arange(self.shape.reach, device=self._inputs.device)
            query = self._by_row[:, :, None]
            hidden = position > query
            if window is not None:
                hidden |= position <= query - window
            mask = torch.zeros(hidden.shape, dtype=self._kv.keys.dtype, device=hidden.device)
            mask.masked_fill_(hidden, float("-inf"))
            self._masks[window] = mask.repeat(1, group, 1)[:, None]
        return self._masks[window]


def _power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below a positive number.

    >>> [_power_of_two(number) for number in (1, 2, 3, 8, 9)]
    [1, 2, 4, 8, 16]
    """
    return 1 << (number - 1).bit_length()


def _stretched(numbers: Iterable[int], length: int) -> list[int]:
    """Return the numbers, the last one repeated up to the length."""
    given = list(numbers)
    return [*given, *given[-1:] * (length - len(given))]
