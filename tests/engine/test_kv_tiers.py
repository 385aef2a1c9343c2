"""KV that leaves its slot comes back from memory or a file, for the same tokens under the same adapter only."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.engine import kv_tiers
from chatbot.engine.kv import KVShape, SlotKV
from chatbot.engine.kv_entry import KVKind
from chatbot.engine.kv_tiers import MIB, KVTiers, open_tiers
from chatbot.engine.slots import Admission, SlotTable
from tests.engine.kept import BYTES_PER_TOKEN, KIND
from tests.examples import examples

Make = Callable[..., "Engine"]


class Engine:
    """Slots and tiers without a model: the KV of a token is a number that tells token, position and adapter."""

    def __init__(self, folder: Path | None, *, slots: int = 1, host_bytes: int = MIB, disk_bytes: int = MIB) -> None:
        shape = KVShape(layers=KIND.layers, slots=slots, kv_heads=KIND.kv_heads, max_len=256, head_dim=KIND.head_dim)
        self.kv = SlotKV(shape, dtype=KIND.dtype, device=torch.device("cpu"))
        kind = KVKind.of(self.kv, base=KIND.base, layout=KIND.layout, vocabulary=KIND.vocabulary)
        assert kind == KIND
        self.tiers: KVTiers = open_tiers(self.kv, kind, host_bytes=host_bytes, disk_bytes=disk_bytes, folder=folder)
        self.table = SlotTable(slots, self.tiers)

    def talk(self, session: str, prompt: Sequence[int], adapter: str | None = None) -> int:
        """Run a whole turn as the engine does and return how many tokens were there; all KV must be right."""
        file = self.tiers.worth_reading(prompt, adapter, self.table.resident(prompt, adapter))
        if file is not None:
            self.tiers.read_ahead(file)
        admission = self.table.admit(session, prompt, adapter)
        assert admission is not None
        self._copy_from_donor(admission)
        slot = admission.slot.index
        expected = _numbers(prompt, adapter)
        for tensor in (self.kv.keys, self.kv.values):
            assert (tensor[:, slot, :, : admission.cached] == expected[: admission.cached]).all()
            tensor[:, slot, :, : len(prompt)] = expected
        admission.slot.tokens = list(prompt)
        self.table.release(admission.slot)
        return admission.cached

    def stop(self) -> None:
        self.tiers.keep_all(self.table.slots)
        self.tiers.close()

    def _copy_from_donor(self, admission: Admission) -> None:
        if admission.donor is not None:
            self.kv.copy_prefix(admission.donor.index, admission.slot.index, admission.cached)


def _numbers(prompt: Sequence[int], adapter: str | None) -> torch.Tensor:
    by = {None: 0, "pirate": 1, "poet": 2}[adapter]
    return torch.tensor([token * 1000 + position + by / 4 for position, token in enumerate(prompt)])[:, None]


def _prompt(start: int, length: int = 60) -> list[int]:
    return [(start + 7 * i) % KIND.vocabulary for i in range(length)]


A, B, C = (_prompt(start) for start in (1, 2, 3))


def test_what_neither_memory_nor_the_writer_takes_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_tiers, "IN_FLIGHT_BYTES", 30 * BYTES_PER_TOKEN)
    engine = Engine(tmp_path, host_bytes=20 * BYTES_PER_TOKEN)
    saved: list[int] = []

    def save(slot: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        saved.append(length)
        return SlotKV.save(engine.kv, slot, length)

    monkeypatch.setattr(engine.kv, "save", save)
    engine.talk("a", range(40))
    engine.talk("b", range(100, 130))
    engine.talk("c", range(200, 210))
    engine.stop()
    assert saved == [30]


def test_a_file_that_has_no_room_in_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Engine(tmp_path)
    first.talk("a", range(100))
    first.stop()
    assert Engine(tmp_path).tiers.worth_reading(range(100), None, 0) is not None
    monkeypatch.setattr(kv_tiers, "IN_FLIGHT_BYTES", 90 * BYTES_PER_TOKEN)
    assert Engine(tmp_path).tiers.worth_reading(range(100), None, 0) is None


def test_a_file_for_which_there_is_no_memory_stays_and_its_prompt_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = Engine(tmp_path)
    first.talk("a", range(100))
    first.stop()
    second = Engine(tmp_path)
    with monkeypatch.context() as full:
        full.setattr("chatbot.engine.kv_files.read_kv", lambda *_: torch.empty(1 << 60))
        assert second.talk("a", range(100)) == 0
    assert "was not read" in caplog.text
    assert Engine(tmp_path).talk("a", range(100)) == 99


@settings(max_examples=examples(30))
@given(length=st.integers(1, 256), restored=st.integers(1, 256), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_restoring_is_the_inverse_of_saving(length: int, restored: int, dtype: torch.dtype) -> None:
    kv = SlotKV(KVShape(2, 3, 2, 256, 4), dtype=dtype, device=torch.device("cpu"))
    kv.keys.normal_()
    kv.values.normal_()
    before = kv.keys.clone(), kv.values.clone()
    keys, values = kv.save(1, length)
    restored = min(restored, length)
    kv.restore(2, keys, values, restored)
    for tensor, old in zip((kv.keys, kv.values), before, strict=True):
        assert torch.equal(tensor[:, 2, :, :restored], old[:, 1, :, :restored])
        assert torch.equal(tensor[:, 2, :, restored:], old[:, 2, :, restored:])
        assert torch.equal(tensor[:, :2], old[:, :2])


def test_a_conversation_that_lost_its_slot_comes_back_from_memory() -> None:
    engine = Engine(None)
    assert [engine.talk("a", A), engine.talk("b", B)] == [0, 0]
    assert engine.talk("a", [*A, 5, 6]) == len(A)
    assert engine.talk("b", [*B, 5, 6]) == len(B)


def test_a_conversation_that_fell_out_of_memory_comes_back_from_its_file(tmp_path: Path) -> None:
    engine = Engine(tmp_path, host_bytes=0)
    engine.talk("a", A)
    engine.talk("b", B)
    assert engine.talk("a", [*A, 5, 6]) == len(A)
    engine.stop()


def test_everything_comes_back_after_a_restart(tmp_path: Path) -> None:
    first = Engine(tmp_path, slots=2)
    for session, prompt in (("a", A), ("b", B), ("c", C)):
        first.talk(session, prompt)
    first.stop()
    second = Engine(tmp_path, slots=2)
    assert [second.talk(name, [*prompt, 5]) for name, prompt in (("a", A), ("b", B), ("c", C))] == [60, 60, 60]
    second.stop()


def test_without_a_tier_kv_is_gone_with_its_slot(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "kv", host_bytes=0, disk_bytes=0)
    engine.talk("a", A)
    engine.talk("b", B)
    assert engine.talk("a", [*A, 5]) == 0
    engine.stop()
    assert not (tmp_path / "kv").exists()


def test_turning_the_disk_off_removes_what_is_there(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.talk("a", A)
    engine.stop()
    assert len(list(tmp_path.iterdir())) == 1
    Engine(tmp_path, disk_bytes=0).stop()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_told_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = Engine(tmp_path / "file")
    assert "KV is not kept on disk" in caplog.text
    engine.talk("a", A)
    engine.talk("b", B)
    assert engine.talk("a", [*A, 5]) == len(A)
    engine.stop()


def test_kept_kv_never_serves_another_adapter(tmp_path: Path) -> None:
    engine = Engine(tmp_path, host_bytes=2 * 60 * BYTES_PER_TOKEN)
    for session, adapter in (("a", "pirate"), ("b", "poet"), ("c", None)):
        assert engine.talk(session, A, adapter) == 0
    assert engine.talk("a", [*A, 5], "poet") == len(A)
    engine.stop()
    again = Engine(tmp_path)
    assert again.talk("a", [*A, 5], "pirate") == len(A)
    again.stop()


def test_a_conversation_that_changes_its_adapter_keeps_the_kv_of_both() -> None:
    engine = Engine(None, slots=2)
    engine.talk("a", A, "pirate")
    engine.talk("a", A, "poet")
    assert engine.talk("a", [*A, 5], "pirate") == len(A)
    assert engine.talk("a", [*A, 5], "poet") == len(A)


def test_an_edited_history_uses_what_is_before_the_edit() -> None:
    engine = Engine(None)
    engine.talk("a", A)
    engine.talk("b", B)
    assert engine.talk("a", [*A[:40], 999, *A[41:]]) == 40


def test_a_new_conversation_begins_with_what_another_one_left_behind(tmp_path: Path) -> None:
    first = Engine(tmp_path)
    first.talk("a", [*A, *B], "pirate")
    first.talk("b", C)
    assert first.talk("c", [*A, 5], "pirate") == len(A)
    assert first.talk("a", [*A, *B, 5], "pirate") == 120
    first.stop()
    second = Engine(tmp_path)
    assert second.talk("d", [*A, 6], "pirate") == len(A)
    second.stop()


def test_a_slot_that_has_as_much_is_not_restored_into() -> None:
    engine = Engine(None)
    engine.talk("a", A)
    engine.talk("b", A)
    kept_before = list(engine.tiers._host)
    assert engine.talk("b", [*A, 5]) == len(A)
    assert list(engine.tiers._host) == kept_before


def test_what_would_be_displaced_next_can_be_kept_before(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(None, slots=2)
    engine.table.keep_ahead()
    engine.talk("a", A)
    engine.talk("b", B)
    engine.table.keep_ahead()
    with monkeypatch.context() as patched:
        patched.setattr(engine.kv, "save", None)
        engine.table.keep_ahead()
        engine.talk("c", C)
    assert engine.talk("a", [*A, 5]) == len(A)


def test_what_was_kept_before_is_dropped_when_its_conversation_goes_on() -> None:
    engine = Engine(None)
    engine.talk("a", A)
    engine.table.keep_ahead()
    engine.talk("a", [*A, 5])
    assert list(engine.tiers._host) == []
    engine.talk("b", B)
    assert engine.talk("a", [*A, 5, 6]) == len(A) + 1


def test_nothing_is_kept_before_where_it_would_have_to_be_written(tmp_path: Path) -> None:
    engine = Engine(tmp_path, host_bytes=0)
    engine.talk("a", A)
    engine.table.keep_ahead()
    engine.table.forget_session("a")
    engine.stop()
    assert list(tmp_path.iterdir()) == []


def test_the_slots_of_a_new_thread_find_what_those_of_a_stuck_one_left() -> None:
    old, new = Engine(None), Engine(None)
    old.talk("a", A)
    old.talk("b", B)
    new.tiers = old.tiers.over(new.kv)
    new.table = SlotTable(1, new.tiers)
    assert new.talk("a", [*A, 5]) == len(A)
    assert new.talk("b", [*B, 5]) == 0  # it was in the old one's slot


def test_a_prompt_shorter_than_what_was_kept_still_computes_its_last_token() -> None:
    engine = Engine(None)
    engine.talk("a", A)
    engine.talk("b", B)
    assert engine.talk("a", A[:50]) == 49


def test_a_forgotten_conversation_comes_back_from_nowhere(tmp_path: Path) -> None:
    engine = Engine(tmp_path, host_bytes=2 * 60 * BYTES_PER_TOKEN)
    for number, name in enumerate("abcd"):  # one in its slot, two in memory, one in a file
        engine.talk(name, _prompt(number * 3))
    for name in "abcd":
        engine.table.forget_session(name)
        engine.tiers.forget(name)
    assert [engine.talk(name, [*_prompt(number * 3), 5]) for number, name in enumerate("abcd")] == [0, 0, 0, 0]
    for name in "abcd":
        engine.table.forget_session(name)
        engine.tiers.forget(name)
    engine.stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ends_early", [False, True])
def test_a_file_read_for_a_prompt_that_never_got_a_slot_takes_no_memory(tmp_path: Path, ends_early: bool) -> None:
    first = Engine(tmp_path)
    first.talk("a", A)
    first.stop()
    second = Engine(tmp_path)
    ahead = second.tiers.worth_reading(A, None, 0)
    assert ahead is not None
    for end in (
        (second.tiers.let_go, second.tiers.read_ahead) if ends_early else (second.tiers.read_ahead, second.tiers.let_go)
    ):
        end(ahead)
    assert list(second.tiers._ahead) == []
    assert second.talk("a", A) == len(A) - 1
    second.stop()


def test_a_file_read_for_a_conversation_that_is_deleted_meanwhile_is_dropped(tmp_path: Path) -> None:
    first = Engine(tmp_path)
    first.talk("a", A)
    first.stop()
    second = Engine(tmp_path)
    file = second.tiers.worth_reading(A, None, 0)
    assert file is not None
    second.tiers.read_ahead(file)
    second.tiers.forget("a")
    assert second.talk("a", A) == 0
    second.tiers.read_ahead(file)
    assert second.talk("b", A) == len(A) - 1  # from the slot of a
    assert list(second.tiers._ahead) == []
    second.stop()


def test_a_file_is_read_only_if_it_spares_enough(tmp_path: Path) -> None:
    first = Engine(tmp_path)
    first.talk("a", A)
    first.stop()
    second = Engine(tmp_path)
    assert second.tiers.worth_reading([*A, 5], None, 0) is not None
    assert second.tiers.worth_reading([*A, 5], None, 40) is None
    assert second.tiers.worth_reading([*A[:20], 5], None, 0) is None
    assert second.tiers.worth_reading([*A, 5], "pirate", 0) is None
    second.stop()


def test_the_disk_gets_what_was_used_last_if_there_is_not_room_for_all(tmp_path: Path) -> None:
    first = Engine(tmp_path, slots=3, disk_bytes=2 * 60 * BYTES_PER_TOKEN + 4096)
    for session, prompt in (("a", A), ("b", B), ("c", C)):
        first.talk(session, prompt)
    first.stop()
    second = Engine(tmp_path)
    assert [second.talk(name, [*prompt, 5]) for name, prompt in (("a", A), ("b", B), ("c", C))] == [0, 60, 60]
    second.stop()


def test_kv_that_cannot_be_copied_is_computed_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    engine = Engine(None)
    engine.talk("a", A)
    with monkeypatch.context() as broken:
        broken.setattr(engine.kv, "save", fail)
        engine.talk("b", B)
    assert engine.talk("a", [*A, 5]) == 0
    with monkeypatch.context() as broken:
        broken.setattr(engine.kv, "restore", fail)
        assert engine.talk("b", [*B, 5]) == 0
    assert len(caplog.records) == 2


TURNS = st.lists(
    st.tuples(
        st.sampled_from(["talk"] * 6 + ["idle", "forget", "restart"]),
        st.sampled_from("abcd"),
        st.sampled_from([None, "pirate", "poet"]),
        st.lists(st.integers(0, 2), min_size=1, max_size=4),
    ),
    max_size=25,
)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=TURNS, slots=st.integers(1, 3), host_tokens=st.sampled_from([0, 100, 4000]))
def test_whatever_comes_in_whatever_order_a_slot_never_has_the_kv_of_anything_else(
    tmp_path: Path, turns: list[tuple[str, str, str | None, list[int]]], slots: int, host_tokens: int
) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    engine = Engine(folder, slots=slots, host_bytes=host_tokens * BYTES_PER_TOKEN)
    for action, session, adapter, parts in turns:
        if action == "talk":
            engine.talk(session, [token for part in parts for token in _prompt(part * 100, 40)], adapter)
        elif action == "idle":
            engine.table.keep_ahead()
        elif action == "forget":
            engine.table.forget_session(session)
            engine.tiers.forget(session)
        else:
            engine.stop()
            engine = Engine(folder, slots=slots, host_bytes=host_tokens * BYTES_PER_TOKEN)
    engine.stop()
