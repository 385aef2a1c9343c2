"""Peers take turns, so that whatever else the machine does falls on all of them; a figure is a median with extremes."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.peer import Chat, Peer

WARM_UP_TOKENS = 8


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


async def in_turns(peers: Sequence[Peer], chats: Sequence[Chat], tokens: int, rounds: int) -> dict[str, Figure]:
    """Return each peer's tokens per second, prompts included, after one short warm-up each."""
    found: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for peer in peers:
        await peer.run(chats, min(WARM_UP_TOKENS, tokens))
    for _ in range(rounds):
        for peer in peers:
            found[peer.name].append(len(chats) * tokens / await peer.run(chats, tokens))
    return {name: Figure(tuple(rates)) for name, rates in found.items()}


def over(figures: dict[str, Figure], one: str, other: str) -> float:
    """Return the ratio of two medians."""
    return figures[one].median / figures[other].median
