"""A KV file is what was written, or it is refused."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from chatbot.engine.kv_format import BrokenKV, ForeignKV, read_kv, read_tokens, write_kv
from tests.engine.kept import KIND, is_same, kept

ANY_TIME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kv.safetensors"


def _rewrite(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _with_header(data: bytes, change: dict[str, Any]) -> bytes:
    """Return a file's bytes with changes in its header's metadata or tensors."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, fields in change.items():
        header[name].update(fields)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


@ANY_TIME
@given(
    tokens=st.lists(st.integers(0, KIND.vocabulary - 1), min_size=1, max_size=40),
    adapter=st.sampled_from([None, "a" * 64]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_reading_is_the_inverse_of_writing(
    path: Path, tokens: list[int], adapter: str | None, dtype: torch.dtype
) -> None:
    kind = replace(KIND, dtype=dtype)
    entry = kept("s", tokens, adapter, kind=kind)
    path.unlink(missing_ok=True)
    write_kv(path, entry, kind)
    assert is_same(read_kv(path, kind), entry)
    header, found = read_tokens(path, kind)
    assert (header.owner, header.adapter, found) == (entry.owner, adapter, tokens)


def test_a_file_is_a_safetensors_file_that_only_its_owner_can_read(path: Path) -> None:
    entry = kept("s", [1, 2, 3])
    write_kv(path, entry, KIND)
    with safe_open(path, "pt") as file:
        assert torch.equal(file.get_tensor("keys"), entry.keys)
        assert torch.equal(file.get_tensor("values"), entry.values)
        assert file.get_tensor("tokens").tolist() == [1, 2, 3]
        assert file.metadata()["base"] == KIND.base
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_kv(path, entry, KIND)


@ANY_TIME
@given(data=st.data())
def test_a_file_with_any_byte_changed_is_refused_or_still_the_same(path: Path, data: st.DataObject) -> None:
    entry = kept("s", [5, 6, 7], "a" * 64)
    path.unlink(missing_ok=True)
    write_kv(path, entry, KIND)
    spoilt = bytearray(path.read_bytes())
    spoilt[data.draw(st.integers(0, len(spoilt) - 1))] ^= data.draw(st.integers(1, 255))
    _rewrite(path, bytes(spoilt))
    try:
        found = read_kv(path, KIND)
    except (BrokenKV, ForeignKV):
        return
    assert is_same(found, entry)  # such as a tab for a space in the header


@ANY_TIME
@given(data=st.data())
def test_a_file_that_is_cut_short_or_goes_on_is_broken(path: Path, data: st.DataObject) -> None:
    path.unlink(missing_ok=True)
    write_kv(path, kept("s", [5, 6, 7]), KIND)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    for spoilt in (whole[:cut], whole + b"\0"):
        _rewrite(path, spoilt)
        for read in (read_kv, read_tokens):
            with pytest.raises(BrokenKV):
                read(path, KIND)


@pytest.mark.parametrize(
    "other",
    [
        replace(KIND, base="c" * 64),
        replace(KIND, layout="interleaved"),
        replace(KIND, dtype=torch.float16),
        replace(KIND, layers=3),
        replace(KIND, kv_heads=4, head_dim=2),
    ],
)
def test_kv_of_another_kind_is_foreign(path: Path, other: Any) -> None:
    write_kv(path, kept("s", [1, 2], kind=other), other)
    for read in (read_kv, read_tokens):
        with pytest.raises(ForeignKV):
            read(path, KIND)


def test_a_later_format_and_other_safetensors_are_foreign(path: Path) -> None:
    write_kv(path, kept("s", [1, 2]), KIND)
    _rewrite(path, _with_header(path.read_bytes(), {"__metadata__": {"format": "chatbot-kv/2"}}))
    with pytest.raises(ForeignKV):
        read_kv(path, KIND)
    save_file({"keys": torch.zeros(2)}, path, metadata={"format": "pt"})
    with pytest.raises(ForeignKV):
        read_kv(path, KIND)


def test_token_ids_that_the_model_does_not_have_are_broken(path: Path) -> None:
    for number, tokens in enumerate(([1, KIND.vocabulary], [-1, 2])):
        file = path.with_name(str(number))
        write_kv(file, kept("s", tokens), KIND)
        for read in (read_kv, read_tokens):
            with pytest.raises(BrokenKV, match="token ids"):
                read(file, KIND)


@pytest.mark.parametrize(
    "change",
    [
        {"keys": {"shape": [2, 2, 3, 4]}},
        {"keys": {"data_offsets": [0, 8]}},
        {"tokens": {"shape": [1 << 60]}},
        {"tokens": {"shape": []}},
        {"tokens": {"shape": ["2"]}},
        {"tokens": {"shape": [-2]}},
        {"tokens": {"dtype": "I64"}},
        {"__metadata__": {"adapter": 7}},
        {"__metadata__": {"crc32": "no number"}},
        {"values": {"more": 1}},
    ],
)
def test_a_header_that_contradicts_itself_is_broken(path: Path, change: dict[str, Any]) -> None:
    write_kv(path, kept("s", [1, 2]), KIND)
    _rewrite(path, _with_header(path.read_bytes(), change))
    with pytest.raises(BrokenKV):
        read_kv(path, KIND)


@pytest.mark.parametrize("text", [b"", b"[]", b"[" * 4000, b'{"__metadata__": 3}', b"\xff\xff", b"{}" + b" " * 9000])
def test_what_is_no_header_is_broken(path: Path, text: bytes) -> None:
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(BrokenKV):
        read_tokens(path, KIND)
