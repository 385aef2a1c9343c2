"""Host memory is never exceeded, and the conversation used longest ago goes first."""

from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.kv_host import HostKV
from chatbot.engine.kv_owner import owner_of
from tests.engine.kept import BYTES_PER_TOKEN, kept


def _room(tokens: int) -> HostKV:
    return HostKV(tokens * BYTES_PER_TOKEN)


def test_the_conversation_used_longest_ago_goes_first() -> None:
    host = _room(4)
    old, new = kept("old", [1, 2], used_at=1.0), kept("new", [3, 4], used_at=2.0)
    assert host.put(new) == []
    assert host.put(old) == []
    assert host.put(kept("newest", [5], used_at=3.0)) == [old]
    assert new in list(host)


def test_a_use_under_another_adapter_counts_for_the_whole_conversation() -> None:
    host = _room(4)
    talked, idle = kept("talked", [1, 2], "pirate", used_at=1.0), kept("idle", [3, 4], used_at=2.0)
    host.put(talked)
    host.put(idle)
    host.touch(owner_of("talked"), 9.0)
    host.touch(owner_of("unknown"), 9.0)
    assert host.put(kept("third", [5], used_at=3.0)) == [idle]


def test_an_entry_takes_the_place_of_an_earlier_one_of_its_conversation_and_adapter() -> None:
    host = _room(100)
    host.put(kept("a", [1, 2]))
    host.put(kept("a", [1], "pirate"))
    later = kept("a", [1, 2, 3])
    assert host.put(later) == []
    assert host.get(later.key) is later
    assert host.size_bytes == 4 * BYTES_PER_TOKEN


def test_an_entry_larger_than_the_limit_is_not_kept_and_nothing_goes_for_it() -> None:
    host = _room(2)
    small, large = kept("a", [1]), kept("b", [1, 2, 3])
    host.put(small)
    assert host.put(large) == [large]
    assert list(host) == [small]
    assert _room(0).put(small) == [small]


def test_only_the_very_entry_is_removed() -> None:
    host = _room(10)
    entry = kept("a", [1])
    host.put(entry)
    assert not host.remove(kept("a", [1]))
    assert host.remove(entry)
    assert not host.remove(entry)
    assert host.size_bytes == 0


def test_a_forgotten_conversation_is_gone_under_all_adapters() -> None:
    host = _room(10)
    other = kept("b", [1])
    for entry in (kept("a", [1]), kept("a", [2], "pirate"), other):
        host.put(entry)
    host.forget(owner_of("a"))
    assert list(host) == [other]
    assert host.size_bytes == BYTES_PER_TOKEN


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "touch", "forget"]), st.sampled_from("abcde"), st.integers(1, 6)),
    max_size=40,
)


@given(actions=ACTIONS, limit=st.integers(0, 12))
def test_the_limit_is_never_exceeded_and_what_fell_out_is_not_younger_than_what_stays(
    actions: list[tuple[str, str, int]], limit: int
) -> None:
    host = _room(limit)
    used_at: dict[str, float] = {}
    for now, (action, session, length) in enumerate(actions, start=1):
        owner = owner_of(session)
        if action == "forget":
            host.forget(owner)
        elif action == "touch":
            host.touch(owner, float(now))
        else:
            entry = kept(session, list(range(length)), used_at=float(now))
            fallen = host.put(entry)
            assert len(fallen) == len(set(fallen) - set(host))
            if fallen == [entry]:
                continue  # larger than the limit: it changes nothing, and so is no use of its conversation
            staying = [used_at[other.owner] for other in host if other is not entry]
            assert all(used_at[gone.owner] <= min(staying, default=now) for gone in fallen)
        used_at[owner] = float(now)
        assert host.size_bytes == sum(entry.size_bytes for entry in host) <= host.limit_bytes
