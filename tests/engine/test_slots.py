"""KV is reused for equal prefixes under the same adapter, and for nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.slots import WORTH_COPYING_TOKENS, SlotTable, common_prefix


def _talk(table: SlotTable, session: str, tokens: list[int], adapter: str | None = None) -> tuple[int, int, int | None]:
    """Run a whole turn and return slot, cached tokens and donor."""
    admission = table.admit(session, tokens, adapter)
    assert admission is not None
    admission.slot.tokens = list(tokens)
    table.release(admission.slot)
    return admission.slot.index, admission.cached, None if admission.donor is None else admission.donor.index


def _talk_of_nobody(table: SlotTable, prompt: list[int], reply: list[int]) -> tuple[int, int]:
    """Run a turn of a chat that its client keeps, and return slot and cached tokens."""
    admission = table.admit("a name of its own", prompt, None)
    assert admission is not None
    admission.slot.tokens, admission.slot.session = [*prompt, *reply], None
    table.release(admission.slot)
    return admission.slot.index, admission.cached


def test_the_next_turn_of_a_session_finds_its_kv() -> None:
    table = SlotTable(4)
    slot, cached, _ = _talk(table, "a", [1, 2, 3])
    assert cached == 0
    assert _talk(table, "a", [1, 2, 3, 4, 5]) == (slot, 3, None)


def test_the_last_prompt_token_is_always_computed() -> None:
    table = SlotTable(1)
    _talk(table, "a", [1, 2, 3])
    assert _talk(table, "a", [1, 2, 3])[1] == 2


def test_an_edited_history_keeps_what_is_before_the_edit() -> None:
    table = SlotTable(1)
    _talk(table, "a", [1, 2, 3, 4])
    assert _talk(table, "a", [1, 2, 9, 4])[1] == 2


def test_another_adapter_never_sees_the_kv() -> None:
    table = SlotTable(3)
    prompt = list(range(100))
    _talk(table, "a", prompt, "pirate")
    assert _talk(table, "a", prompt, "poet")[1:] == (0, None)
    assert _talk(table, "b", prompt, None)[1:] == (0, None)


def test_a_shared_beginning_is_copied_from_another_slot() -> None:
    table = SlotTable(3)
    persona = list(range(100, 150))
    donor, _, _ = _talk(table, "a", [*persona, 1], "pirate")
    slot, cached, copied = _talk(table, "b", [*persona, 2], "pirate")
    assert slot != donor
    assert (cached, copied) == (50, donor)


def test_a_beginning_that_is_hardly_longer_is_not_worth_a_copy() -> None:
    table = SlotTable(2)
    shared = range(WORTH_COPYING_TOKENS - 1)
    _talk(table, "a", [*shared, 77])
    assert _talk(table, "b", [*shared, 88])[2] is None


def test_empty_slots_go_before_old_ones_and_old_before_new() -> None:
    table = SlotTable(2)
    first, *_ = _talk(table, "a", [1, 2])
    second, *_ = _talk(table, "b", [3, 4])
    assert first != second
    assert _talk(table, "c", [5, 6])[0] == first
    assert _talk(table, "b", [3, 4, 5])[:2] == (second, 2)


def test_a_chat_that_its_client_keeps_stays_in_its_slot_as_it_grows() -> None:
    table = SlotTable(4)
    other, *_ = _talk(table, "b", list(range(100, 200)))
    chat = list(range(20))
    slots = set()
    for turn in range(10):
        slot, cached = _talk_of_nobody(table, chat, [1000 + turn] * 5)
        slots.add(slot)
        assert cached == (len(chat) - 20 if turn else 0)
        chat = [*chat, *[1000 + turn] * 5, *[2000 + turn] * 20]
    assert len(slots) == 1
    assert _talk(table, "b", list(range(100, 210))) == (other, 100, None)


def test_it_stays_there_though_messages_are_recalled_before_some_of_its_newest() -> None:
    table = SlotTable(4)
    chat = list(range(60))
    slots = set()
    for turn in range(12):
        newest, reply = [2000 + turn] * 5, [1000 + turn] * 5
        recalled = [7] * 10 if turn % 4 in (1, 2) else []
        slots.add(_talk_of_nobody(table, [*chat, *recalled, *newest], reply)[0])
        chat = [*chat, *newest, *reply]
    assert len(slots) == 1


def test_a_prompt_that_comes_again_stays_in_its_slot() -> None:
    table = SlotTable(4)
    assert {_talk_of_nobody(table, list(range(50)), [1000 + turn] * 5)[0] for turn in range(5)} == {0}


def test_chats_that_only_share_their_instructions_stay_in_slots_of_their_own() -> None:
    table = SlotTable(4)
    instructions = list(range(100))
    chats = {name: [*instructions, *[name] * 5] for name in (1001, 1002, 1003)}
    taken = []
    for turn in range(5):
        for name, chat in chats.items():
            slot, cached = _talk_of_nobody(table, chat, [turn] * 3)
            taken.append((slot, name))
            assert turn < 2 or cached == len(chat) - 5
            chats[name] = [*chat, *[turn] * 3, *[2000 + turn] * 5]
    assert len(set(taken[-9:])) == 3


def test_none_is_admitted_while_all_slots_are_busy() -> None:
    table = SlotTable(1)
    admission = table.admit("a", [1, 2], None)
    assert admission is not None
    assert table.admit("b", [1, 2], None) is None
    table.release(admission.slot)
    assert table.admit("b", [1, 2], None) is not None


def test_a_session_that_asks_twice_at_once_gets_two_slots() -> None:
    table = SlotTable(2)
    one, two = table.admit("a", [1, 2], None), table.admit("a", [1, 2], None)
    assert one is not None
    assert two is not None
    assert one.slot is not two.slot


def test_a_forgotten_slot_lends_nothing() -> None:
    table = SlotTable(1)
    _talk(table, "a", [1, 2, 3])
    table.forget(table.slots[0])
    assert _talk(table, "a", [1, 2, 3, 4])[1] == 0


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix_is_common_and_longest(a: list[int], b: list[int]) -> None:
    length = common_prefix(a, b)
    assert a[:length] == b[:length]
    assert length == min(len(a), len(b)) or a[length] != b[length]
