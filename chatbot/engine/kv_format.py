"""One conversation's KV as a safetensors file: written by us alone, read with distrust.

A header is accepted only if it is, value for value, the one we would have written; the rest of the file must have the
size that follows and the checksum that the header names. The files are plain safetensors, but the library is not used
on them: it maps files into memory, where one that is cut short while it is read kills the process.
"""

import json
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from chatbot.engine.kv_entry import Key, KVEntry, KVKind

FORMAT = "chatbot-kv/1"
MAX_HEADER_BYTES = 4096
DTYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


class ForeignKV(Exception):
    """A file of another model, arrangement or version of the format."""


class BrokenKV(Exception):
    """A file that is not what it should be; the message says where."""


@dataclass(frozen=True, slots=True)
class KVHeader:
    """What a file says about itself, besides its kind."""

    owner: str
    adapter: str | None
    length: int
    """In tokens."""
    crc32: int
    """Of everything behind the header, and of owner and adapter."""


def write_kv(path: Path, entry: KVEntry, kind: KVKind) -> None:
    """Write an entry into a new file that nobody else can read. Raises OSError."""
    parts = _parts(np.asarray(entry.tokens, dtype="<i4"), entry.keys, entry.values)
    header = KVHeader(entry.owner, entry.adapter, len(entry.tokens), _crc32(entry.key, parts))
    text = json.dumps(_described(header, kind)).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for part in parts:
            file.write(part)


def read_tokens(path: Path, kind: KVKind) -> tuple[KVHeader, list[int]]:
    """Return what a file holds without reading its KV. Raises ForeignKV, BrokenKV or OSError."""
    with path.open("rb") as file:
        header = _read_header(file, kind)
        tokens = np.empty(header.length, dtype="<i4")
        _fill(file, tokens.view(np.uint8).data)
    return header, _checked(tokens, kind)


def read_kv(path: Path, kind: KVKind) -> KVEntry:
    """Read a whole file and verify all of it. Raises ForeignKV, BrokenKV or OSError."""
    with path.open("rb") as file:
        header = _read_header(file, kind)
        tokens = np.empty(header.length, dtype="<i4")
        keys, values = (torch.empty(kind.sizes(header.length), dtype=kind.dtype) for _ in range(2))
        parts = _parts(tokens, keys, values)
        for part in parts:
            _fill(file, part)
        used_at = os.fstat(file.fileno()).st_mtime
    if (crc32 := _crc32((header.owner, header.adapter), parts)) != header.crc32:
        raise BrokenKV(f"its checksum is {crc32:08x}, the header says {header.crc32:08x}")
    return KVEntry(header.owner, header.adapter, _checked(tokens, kind), keys, values, used_at)


def _parts(tokens: npt.NDArray[Any], keys: torch.Tensor, values: torch.Tensor) -> list[memoryview]:
    """Return the contents of a file behind its header, as bytes that share memory with what is given."""
    kv = [tensor.view(-1).view(torch.uint8).numpy() for tensor in (keys, values)]
    return [part.view(np.uint8).data for part in (tokens, *kv)]


def _crc32(key: Key, parts: Sequence[memoryview]) -> int:
    crc32 = zlib.crc32(repr(key).encode())
    for part in parts:
        crc32 = zlib.crc32(part, crc32)
    return crc32


def _fill(file: BufferedReader, part: memoryview) -> None:
    if (got := file.readinto(part)) != len(part):
        raise BrokenKV(f"it ends after {got} of {len(part)} bytes of a tensor")


def _checked(tokens: npt.NDArray[Any], kind: KVKind) -> list[int]:
    if tokens.min() < 0 or tokens.max() >= kind.vocabulary:
        raise BrokenKV(f"it has token ids from {tokens.min()} to {tokens.max()}; the model has {kind.vocabulary}")
    ids: list[int] = tokens.tolist()
    return ids


def _described(header: KVHeader, kind: KVKind) -> dict[str, Any]:
    """Return the JSON of a safetensors header."""
    tensors: dict[str, Any] = {"__metadata__": {**_fixed(kind), **_own(header)}}
    sizes, first = list(kind.sizes(header.length)), 0
    for name, dtype, shape, width in (
        ("tokens", "I32", [header.length], 4),
        ("keys", DTYPE_NAMES[kind.dtype], sizes, kind.dtype.itemsize),
        ("values", DTYPE_NAMES[kind.dtype], sizes, kind.dtype.itemsize),
    ):
        last = first + math.prod(shape) * width
        tensors[name] = {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}
        first = last
    return tensors


def _fixed(kind: KVKind) -> dict[str, str]:
    """Return the metadata that all files of one kind share."""
    return {
        "format": FORMAT,
        "base": kind.base,
        "layout": kind.layout,
        "dtype": DTYPE_NAMES[kind.dtype],
        "kv": f"{kind.layers}x{kind.kv_heads}x{kind.head_dim}",
    }


def _own(header: KVHeader) -> dict[str, str]:
    return {"session": header.owner, "adapter": header.adapter or "none", "crc32": f"{header.crc32:08x}"}


def _read_header(file: BufferedReader, kind: KVKind) -> KVHeader:
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= MAX_HEADER_BYTES:
        raise BrokenKV(f"its header should have at most {MAX_HEADER_BYTES} bytes, not {length}")
    try:
        found = json.loads(file.read(length))
        metadata = found["__metadata__"]
        if strange := {name: metadata.get(name) for name, value in _fixed(kind).items() if metadata.get(name) != value}:
            raise ForeignKV(f"it is of another kind: {strange}")
        header = _stated(found)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenKV(f"its header cannot be read: {type(error).__name__}: {error}") from error
    expected = _described(header, kind)
    if header.length < 1 or found != expected:
        raise BrokenKV("its header contradicts itself")
    size = 8 + length + expected["values"]["data_offsets"][1]
    if (actual := os.fstat(file.fileno()).st_size) != size:
        raise BrokenKV(f"it should have {size} bytes, not {actual}")
    return header


def _stated(found: dict[str, Any]) -> KVHeader:
    """Return what a header states; any kind of error if it states nothing of the sort."""
    metadata, length = found["__metadata__"], found["tokens"]["shape"][0]
    if not isinstance(length, int):
        raise TypeError(f"a number of tokens is expected, not {length!r}")
    adapter = metadata["adapter"]
    return KVHeader(metadata["session"], None if adapter == "none" else adapter, length, int(metadata["crc32"], 16))
