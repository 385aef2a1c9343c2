"""Peers take turns, so that whatever else the machine does falls on all of them; a figure is a median with extremes."""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.peer import Chat, Peer

WARM_UP_TOKENS = 8

ChatsOf = Callable[[int], Sequence[Chat]]
"""Gives the chats of a round."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What several rounds gave, in one unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def as_dict(self) -> dict[str, float]:
        numbers = {"median": self.median, "lowest": min(self.values), "highest": max(self.values)}
        return {name: float(f"{number:.4g}") for name, number in numbers.items()}


@dataclass(frozen=True, slots=True)
class Gate:
    """A claim about a ratio, and whether it holds."""

    claim: str
    value: float
    bound: float
    is_at_least: bool = True

    @property
    def is_met(self) -> bool:
        return self.value >= self.bound if self.is_at_least else self.value <= self.bound

    def as_dict(self) -> dict[str, Any]:
        sign = "at least" if self.is_at_least else "at most"
        return {"claim": self.claim, "value": round(self.value, 3), sign: self.bound, "is_met": self.is_met}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one workload by name, in one unit, and its gates."""

    workload: str
    unit: str
    figures: dict[str, Figure]
    gates: tuple[Gate, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "workload": self.workload,
            "unit": self.unit,
            "figures": {name: figure.as_dict() for name, figure in self.figures.items()},
            "gates": [gate.as_dict() for gate in self.gates],
        }


def made(*makers: Callable[[], Peer]) -> list[Peer]:
    """Return the peers that can be made here; what keeps the others from it goes to stderr."""
    peers = []
    for make in makers:
        try:
            peers.append(make())
        except Exception as error:  # a peer's own affair: the others are measured all the same
            _leave_out(str(make), error)
    return peers


async def in_turns(peers: Sequence[Peer], chats_of: ChatsOf, tokens: int, rounds: int) -> dict[str, Figure]:
    """Return the tokens per second, prompts included, of each peer that gets through one short warm-up.

    Each round has chats of its own: what a peer keeps of earlier ones is nothing that it would have read. And each
    has an order of its own: who comes after whom must not decide.
    """
    warm = [peer for peer in peers if await _warms_up(peer, chats_of(0), min(WARM_UP_TOKENS, tokens))]
    found: dict[str, list[float]] = {peer.name: [] for peer in warm}
    for number in range(1, rounds + 1):
        chats = chats_of(number)
        for peer in _order(warm, number):
            found[peer.name].append(len(chats) * tokens / await peer.run(chats, tokens))
    return {name: Figure(tuple(rates)) for name, rates in found.items()}


def _order(peers: Sequence[Peer], number: int) -> list[Peer]:
    """Return the peers as they take their turns in a round; over the rounds each follows every other equally often.

    It is Williams' design: to both sides by turns, shifted by one each round, and backward once all have been first.
    """
    count = len(peers)
    steps = [(at + 1) // 2 * (1 if at % 2 else -1) for at in range(count)]
    order = [peers[(number + step) % count] for step in steps]
    return order[::-1] if number // count % 2 else order


async def _warms_up(peer: Peer, chats: Sequence[Chat], tokens: int) -> bool:
    """Whether a peer can do at all what will be measured; ours has to."""
    try:
        await peer.run(chats, tokens)
    except Exception as error:
        if peer.name.startswith("engine"):
            raise
        _leave_out(peer.name, error)
        return False
    return True


def _leave_out(peer: str, error: Exception) -> None:
    print(f"left out: {peer}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def over(figures: dict[str, Figure], one: str, other: str) -> float:
    """Return the ratio of two medians."""
    return figures[one].median / figures[other].median
