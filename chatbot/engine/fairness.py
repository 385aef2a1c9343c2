"""Whose turn it is: round-robin over users, then over a user's conversations, first come first served in each.

So a user with fifty requests waiting delays another user's single one by one turn, not by fifty. Pure.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Owned(Protocol):
    """Something that one conversation of one user wants."""

    @property
    def user(self) -> str | None: ...

    @property
    def session(self) -> str: ...


OwnedT = TypeVar("OwnedT", bound=Owned)


class FairQueue(Generic[OwnedT]):
    """What waits for a turn. Users, and conversations within each, stand in a ring."""

    def __init__(self) -> None:
        self._users: dict[str | None, dict[str, deque[OwnedT]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: OwnedT) -> None:
        """Put an item at the end of its conversation's line; new users and conversations come last in their ring."""
        self._users.setdefault(item.user, {}).setdefault(item.session, deque()).append(item)
        self._count += 1

    def discard(self, item: OwnedT) -> None:
        """Take an item out, if it is there; nobody's turn changes by it."""
        sessions = self._users.get(item.user, {})
        line = sessions.get(item.session, deque())
        if item not in line:
            return
        line.remove(item)
        self._count -= 1
        if not line:
            del sessions[item.session]
        if not sessions:
            del self._users[item.user]

    def items(self) -> list[OwnedT]:
        """Return all items, in no order that means anything."""
        return [item for sessions in self._users.values() for line in sessions.values() for item in line]

    def turns(self) -> list[list[OwnedT]]:
        """Return for each user, in turn, the first item of each conversation, in turn."""
        return [[line[0] for line in sessions.values()] for sessions in self._users.values()]

    def end_turn(self, item: OwnedT) -> None:
        """Send the item's user, and its conversation among the user's, to the end of the ring."""
        sessions = self._users.pop(item.user)
        self._users[item.user] = sessions
        sessions[item.session] = sessions.pop(item.session)


@dataclass(frozen=True, slots=True)
class Claim:
    """How much of something divisible is asked for."""

    least: float
    """Less than this is not worth having."""
    most: float


def split(total: float, claims: Sequence[Claim]) -> list[float]:
    """Return a share for each claim; what small claims leave goes to the large ones.

    Where there is not enough for the least of all, the last ones get nothing; the first gets its least if anything
    is there at all, even if it is too little.

    >>> split(60, [Claim(10, 100), Claim(10, 15), Claim(10, 100)])
    [22.5, 15, 22.5]
    >>> split(15, [Claim(10, 100), Claim(10, 100)])
    [15.0, 0.0]
    """
    served, left = 0, total
    while served < len(claims) and (claims[served].least <= left or (served == 0 and total > 0)):
        left -= claims[served].least
        served += 1
    extras = _level([claim.most - claim.least for claim in claims[:served]], max(0.0, left))
    shares = [claim.least + extra for claim, extra in zip(claims[:served], extras, strict=True)]
    return shares + [0.0] * (len(claims) - served)


def split_nested(total: float, claims: Sequence[Sequence[Claim]]) -> list[float]:
    """Split between groups and then within each; return the shares of all claims in a row. No group is empty."""
    groups = [Claim(own[0].least, sum(claim.most for claim in own)) for own in claims]
    return [share for own, part in zip(claims, split(total, groups), strict=True) for share in split(part, own)]


def _level(wants: Sequence[float], total: float) -> list[float]:
    """Return what each gets when all get the same, but none more than it wants (max-min fairness)."""
    shares = [0.0] * len(wants)
    for place, index in enumerate(sorted(range(len(wants)), key=wants.__getitem__)):
        shares[index] = min(wants[index], total / (len(wants) - place))
        total -= shares[index]
    return shares
