"""Packs short chats into long rows so that no token of one chat sees another. Pure.

A packed row is isolated by its position ids, which begin again with each chat. transformers honours that only without
an attention mask and with `use_cache=False`; otherwise chats leak into each other silently
(a test holds it).
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

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
    bins: list[list[int]] = []
    room: list[int] = []
    open_bins: list[int] = []
    shortest = min(lengths, default=0)
    for index, length in enumerate(lengths):
        if length > capacity:
            raise ValueError(f"chat {index} has {length} tokens; a row takes {capacity}")
        place = next((place for place, number in enumerate(open_bins) if length <= room[number]), len(open_bins))
        if place == len(open_bins):
            open_bins.append(len(bins))
            bins.append([])
            room.append(capacity)
        number = open_bins[place]
        bins[number].append(index)
        room[number] -= length
        if room[number] < shortest:  # no chat fits: not looking here again, 40,000 take 0.1 s and not 6
            del open_bins[place]
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


def packed_epoch(examples: Sequence[Example], capacity: int, *, seed: int, epoch: int) -> list[PackedRow]:
    """Return all chats, packed in an order that depends on seed and epoch alone."""
    return _rows(examples, epoch_bins([len(e.ids) for e in examples], capacity, seed=seed, epoch=epoch))


def packed_in_order(examples: Sequence[Example], capacity: int) -> list[PackedRow]:
    """Return all chats, packed in the order they come in."""
    return _rows(examples, pack([len(e.ids) for e in examples], capacity))


def _rows(examples: Sequence[Example], bins: Sequence[Sequence[int]]) -> list[PackedRow]:
    return [join([examples[index] for index in places]) for places in bins]
