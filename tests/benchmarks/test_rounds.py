"""Peers take turns; one that fails is told of and left out, unless it is ours."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from benchmarks.peers.peer import Chat, Peer
from benchmarks.rounds import in_turns, made


class Slow:
    """Takes a second for each token, or fails."""

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self.name = name
        self._fails = fails

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        if self._fails:
            raise RuntimeError("no such kernel")
        return float(tokens)

    async def close(self) -> None:
        pass


async def test_a_peer_that_fails_is_left_out_of_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    figures = await in_turns([Slow("engine"), Slow("other", fails=True), Slow("third")], lambda _: [(), ()], 10, 3)
    assert {name: figure.values for name, figure in figures.items()} == {"engine": (2.0,) * 3, "third": (2.0,) * 3}
    assert "left out: other: RuntimeError: no such kernel" in capsys.readouterr().err


@pytest.mark.parametrize("count", [4, 5])
async def test_over_the_rounds_each_peer_follows_every_other_equally_often(count: int) -> None:
    turns: list[str] = []

    class Told(Slow):
        async def run(self, chats: Sequence[Chat], tokens: int) -> float:
            turns.append(self.name)
            return await super().run(chats, tokens)

    rounds = 2 * count
    await in_turns([Told(str(number)) for number in range(count)], lambda _: [()], 10, rounds)
    orders = [turns[start : start + count] for start in range(count, len(turns), count)]  # after the warm-up
    assert all(len(set(order)) == count for order in orders)
    follows = Counter(pair for order in orders for pair in pairwise(order))
    assert len(follows) == count * (count - 1)
    assert set(follows.values()) == {2}


async def test_ours_must_not_fail() -> None:
    with pytest.raises(RuntimeError, match="no such kernel"):
        await in_turns([Slow("engine, 1 adapter", fails=True)], lambda _: [()], 10, 3)


def test_a_peer_that_cannot_be_made_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def impossible() -> Peer:
        raise ImportError("no such library")

    assert [peer.name for peer in made(lambda: Slow("one"), impossible)] == ["one"]
    assert "no such library" in capsys.readouterr().err
