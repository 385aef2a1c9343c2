"""Users take turns, then their conversations, then their requests; nobody's crowd is another's wait."""

from collections import Counter, deque
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.fairness import Claim, FairQueue, split


@dataclass(eq=False)
class Asked:
    user: str | None
    session: str
    number: int = 0


def _take(queue: FairQueue[Asked]) -> Asked:
    item = queue.turns()[0][0]
    queue.end_turn(item)
    queue.discard(item)
    return item


def _queue(*items: Asked) -> FairQueue[Asked]:
    queue: FairQueue[Asked] = FairQueue()
    for item in items:
        queue.add(item)
    return queue


def test_a_crowd_of_one_user_delays_another_by_one_turn() -> None:
    queue = _queue(*(Asked("crowd", str(i)) for i in range(50)))
    _take(queue)
    queue.add(Asked("single", "s"))
    assert [_take(queue).user for _ in range(2)] == ["crowd", "single"]


def test_conversations_of_a_user_take_turns() -> None:
    queue = _queue(*(Asked(None, session, i) for session in "aab" for i in [0]), Asked(None, "c"))
    assert [_take(queue).session for _ in range(4)] == ["a", "b", "c", "a"]


def test_turns_show_the_first_of_each_conversation_of_each_user() -> None:
    queue = _queue(Asked("x", "a", 1), Asked("x", "a", 2), Asked("x", "b", 3), Asked("y", "c", 4))
    assert [[item.number for item in items] for items in queue.turns()] == [[1, 3], [4]]
    queue.end_turn(queue.turns()[0][0])
    assert [[item.number for item in items] for items in queue.turns()] == [[4], [3, 1]]


def test_what_is_discarded_is_gone_and_what_is_not_there_may_be_discarded() -> None:
    first, second = Asked("x", "a"), Asked("x", "a")
    queue = _queue(first)
    queue.discard(second)
    queue.discard(Asked("y", "b"))
    assert queue.items() == [first]
    queue.discard(first)
    assert len(queue) == 0
    assert queue.turns() == []


REQUESTS = st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("abc"), st.booleans()), max_size=60)


@given(REQUESTS)
def test_whoever_waits_is_passed_at_most_once_by_each_other_user(arrivals: list[tuple[str, str, bool]]) -> None:
    """`takes` says whether somebody is served after this arrival."""
    queue: FairQueue[Asked] = FairQueue()
    passed_by: dict[str, Counter[str | None]] = {}
    lines: dict[tuple[str | None, str], deque[int]] = {}
    for number, (user, session, takes) in enumerate(arrivals):
        if user not in _users(queue):
            passed_by[user] = Counter()
        queue.add(Asked(user, session, number))
        lines.setdefault((user, session), deque()).append(number)
        if takes:
            _serve(queue, passed_by, lines)
    while len(queue):
        _serve(queue, passed_by, lines)
    assert not any(lines.values())


def _users(queue: FairQueue[Asked]) -> set[str | None]:
    return {item.user for item in queue.items()}


def _serve(
    queue: FairQueue[Asked], passed_by: dict[str, Counter[str | None]], lines: dict[tuple[str | None, str], deque[int]]
) -> None:
    item = _take(queue)
    assert item.number == lines[item.user, item.session].popleft()
    for user, others in passed_by.items():
        if user == item.user:
            others.clear()
        elif user in _users(queue):
            others[item.user] += 1
            assert others[item.user] == 1


CLAIMS = st.lists(
    st.tuples(st.floats(0.1, 50), st.floats(0, 500)).map(lambda pair: Claim(pair[0], pair[0] + pair[1])), max_size=8
)


@given(total=st.floats(1, 1000), claims=CLAIMS)
def test_shares_are_level_and_nothing_is_left_that_somebody_wants(total: float, claims: list[Claim]) -> None:
    shares = split(total, claims)
    served = [(share, claim) for share, claim in zip(shares, claims, strict=True) if share]
    assert len(served) >= min(1, len(claims))
    assert all(claim.least <= share <= claim.most + 1e-9 for share, claim in served)
    assert not any(shares[len(served) :])
    if claims and claims[0].least <= total:
        assert sum(shares) <= total + 1e-6
        wanted = sum(claim.most for _, claim in served)
        assert abs(sum(shares) - min(total, wanted)) < 1e-6
    extras = [share - claim.least for share, claim in served if share < claim.most - 1e-6]
    assert all(abs(extra - extras[0]) < 1e-6 for extra in extras)


def test_nothing_is_split_into_nothing() -> None:
    assert split(0, [Claim(1, 2)]) == [0]
    assert split(5, []) == []
