"""Packs short chats into long rows so that no token of one chat sees another. Pure.

A packed row is isolated by its position ids, which begin again with each chat. transformers honours that only without
an attention mask and with `use_cache=False`; otherwise chats leak into each other silently
(a test holds it).
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

IGNORED = -100
"""Label of a position that is not learned, as transformers counts them."""


@dataclass(frozen=True, slots=True)
class Example:
    """A chat as tokens, and which of them are the assistant's."""

    ids: tuple[int, ...]
    is_label: tuple[bool, ...]
    """Whether the token is one the assistant says. The first token never is: nothing predicts it."""


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Several chats in one row."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    positions: tuple[int, ...]


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return bins of indices, each of at most `capacity` tokens: every index goes to the first bin with room."""
    leaves = 1 << max(0, len(lengths) - 1).bit_length()
    room = [capacity] * (2 * leaves)  # a tree: the bins are its leaves, and node n has the most room of 2n and 2n + 1
    bins: list[list[int]] = []
    for index, length in enumerate(lengths):
        if length > capacity:
            raise ValueError(f"chat {index} has {length} tokens; a row takes {capacity}")
        node = 1
        while node < leaves:
            node = 2 * node + (room[2 * node] < length)
        if node == leaves + len(bins):
            bins.append([])
        bins[node - leaves].append(index)
        room[node] -= length
        while node := node // 2:
            room[node] = max(room[2 * node], room[2 * node + 1])
    return bins


def epoch_bins(lengths: Sequence[int], capacity: int, *, seed: int, epoch: int) -> list[list[int]]:
    """Return bins of indices, filled in an order that depends on seed and epoch alone."""
    order = list(range(len(lengths)))
    random.Random(hashlib.sha256(f"{seed}:{epoch}".encode()).digest()).shuffle(order)
    return [[order[place] for place in places] for places in pack([lengths[index] for index in order], capacity)]


def join(examples: Sequence[Example]) -> PackedRow:
    """Return the row that holds these chats one after the other."""
    return PackedRow(
        ids=tuple(token for example in examples for token in example.ids),
        labels=tuple(
            token if is_label else IGNORED
            for example in examples
            for token, is_label in zip(example.ids, example.is_label, strict=True)
        ),
        positions=tuple(position for example in examples for position in range(len(example.ids))),
    )


def end_to_end(rows: Sequence[PackedRow]) -> PackedRow:
    """Return the one long row that holds these rows one after the other."""
    return PackedRow(
        ids=tuple(token for row in rows for token in row.ids),
        labels=tuple(label for row in rows for label in row.labels),
        positions=tuple(position for row in rows for position in row.positions),
    )


def packed_in_order(examples: Sequence[Example], capacity: int) -> "Rows":
    """Return all chats, packed in the order they come in."""
    return Rows(examples, pack([len(example.ids) for example in examples], capacity))


class Rows(Sequence[PackedRow]):
    """Packed rows, each of which is made when it is asked for: as tuples, those of all epochs would fill the memory."""

    def __init__(self, examples: Sequence[Example], bins: Sequence[Sequence[int]]) -> None:
        """Take the chats, and which of them lie in each row."""
        self._examples = examples
        self._bins = bins

    def __len__(self) -> int:
        return len(self._bins)

    @overload
    def __getitem__(self, place: int) -> PackedRow: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows": ...
    def __getitem__(self, place: int | slice) -> "PackedRow | Rows":
        if isinstance(place, slice):
            return Rows(self._examples, self._bins[place])
        return join([self._examples[index] for index in self._bins[place]])

    def longest(self) -> PackedRow:
        """Return the row with the most tokens."""
        tokens = [sum(len(self._examples[index].ids) for index in indices) for indices in self._bins]
        return self[tokens.index(max(tokens))]
