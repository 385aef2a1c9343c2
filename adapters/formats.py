"""Reads example chats from JSONL and CSV files; each row's shape is found by its keys, so files can be mixed.

Reading never stops at the first fault: what a row cannot give becomes a Problem with file and line. Whether the turns
that were read make a chat is for `validate` to say.
"""

import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.errors import Problem

SHAREGPT_ROLES: Mapping[str, str] = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
SHAPES = '"messages", "conversations", "instruction" and "output", "prompt" and "completion", or "user" and "assistant"'
DECOMPRESS = {".gz": gzip.decompress, ".xz": lzma.decompress}
CSV_SUFFIXES: Mapping[str, str] = {".csv": ",", ".tsv": "\t"}
BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class RawTurn:
    """A turn as it was written; the role may be any text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """One example chat as it was written."""

    file: Path
    line: int
    shape: str
    turns: tuple[RawTurn, ...]


class Misshapen(Exception):
    """A row whose keys or values are not what its shape asks for."""


def read_rows(path: Path) -> Iterator[RawRow | Problem]:
    """Yield every row of a file, compressed (`.gz`, `.xz`) or not, or the problem that stands in its place."""
    try:
        data = path.read_bytes()
        if decompress := DECOMPRESS.get(path.suffix.lower()):
            data = decompress(data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        yield Problem(path, 1, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return
    suffix = Path(path.stem).suffix if decompress else path.suffix
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield Problem(path, 1, "the file is UTF-16 (save it as UTF-8)")
    elif (delimiter := CSV_SUFFIXES.get(suffix.lower())) is not None:
        yield from _read_csv(path, data, delimiter)
    else:
        yield from _read_jsonl(path, data)


def turns_of(value: object) -> tuple[str, tuple[RawTurn, ...]]:
    """Return the shape of one JSON row and its turns. Raises Misshapen."""
    if not isinstance(value, dict):
        raise Misshapen(f"a row is a JSON object, not {_kind(value)} (use {SHAPES})")
    if "messages" in value:
        return "messages", _listed(value, "messages", "role", "content", {})
    if "conversations" in value:
        return "conversations", _listed(value, "conversations", "from", "value", SHAREGPT_ROLES)
    if "instruction" in value:
        return "alpaca", _alpaca(value)
    if "prompt" in value:
        return "prompt", _prompt(value)
    if "user" in value and "assistant" in value:
        return "pair", _pair(value, "user", "assistant")
    keys = ", ".join(f'"{key}"' for key in list(value)[:6]) or "none"
    raise Misshapen(f"keys unknown: {keys} (use {SHAPES})")


def _read_jsonl(path: Path, data: bytes) -> Iterator[RawRow | Problem]:
    lines = data.removeprefix(BOM.encode()).split(b"\n")
    if data.lstrip()[:1] == b"[":
        yield Problem(path, 1, "the file is one JSON array (write one object on each line)")
        return
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            shape, turns = turns_of(_parse(raw))
            yield RawRow(path, number, shape, turns)
        except Misshapen as error:
            yield Problem(path, number, str(error))


def _parse(raw: bytes) -> Any:  # any JSON value
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misshapen(
            f"byte 0x{raw[error.start]:02x} at column {error.start + 1} is not UTF-8 (save the file as UTF-8)"
        ) from None
    if text.startswith(BOM):
        raise Misshapen("a byte order mark inside the file (remove it)")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Misshapen(f"not JSON: {error.msg} at column {error.colno} (each line is one complete object)") from None
    except (ValueError, RecursionError) as error:
        raise Misshapen(f"not JSON that can be read: {error} (nested too deeply, or a number too long)") from None


def _read_csv(path: Path, data: bytes, delimiter: str) -> Iterator[RawRow | Problem]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield Problem(path, line, f"byte 0x{data[error.start]:02x} is not UTF-8 (save the file as UTF-8)")
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if not {"user", "assistant"} <= set(header) <= {"user", "assistant", "system"}:
            yield Problem(
                path, 1, f"columns {', '.join(header) or 'none'} (use user,assistant or user,assistant,system)"
            )
            return
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                yield Problem(
                    path, line, f"{len(cells)} cells, expected {len(header)} (put texts with commas in quotes)"
                )
                continue
            row = {name: cell for name, cell in zip(header, cells, strict=True) if name != "system" or cell.strip()}
            yield RawRow(path, line, "csv", _pair(row, "user", "assistant"))
    except csv.Error as error:
        yield Problem(path, reader.line_num, f"not CSV: {error} (look for a quote that is not closed)")


def _listed(
    row: Mapping[str, Any], key: str, role_key: str, text_key: str, aliases: Mapping[str, str]
) -> tuple[RawTurn, ...]:
    turns = row[key]
    if not isinstance(turns, list):
        raise Misshapen(f'"{key}" is {_kind(turns)} (expected a list of turns)')
    head = (RawTurn("system", _text(row, "system", '"system"')),) if row.get("system") else ()
    return head + tuple(
        _turn(turn, f"turn {number}", role_key, text_key, aliases) for number, turn in enumerate(turns, 1)
    )


def _turn(turn: object, where: str, role_key: str, text_key: str, aliases: Mapping[str, str]) -> RawTurn:
    if not isinstance(turn, dict):
        raise Misshapen(f'{where}: {_kind(turn)} (expected {{"{role_key}": ..., "{text_key}": ...}})')
    for key in (role_key, text_key):
        if key not in turn:
            raise Misshapen(f'{where}: "{key}" is missing (a turn has "{role_key}" and "{text_key}")')
    role = turn[role_key]
    if not isinstance(role, str):
        raise Misshapen(f'{where}: "{role_key}" is {_kind(role)} (expected a text such as "user")')
    return RawTurn(aliases.get(role, role), _text(turn, text_key, f'{where}: "{text_key}"'))


def _alpaca(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    if "output" not in row:
        raise Misshapen('"output" is missing (a row with "instruction" has the answer in "output")')
    asked = _text(row, "instruction", '"instruction"')
    if extra := (_text(row, "input", '"input"') if row.get("input") else ""):
        asked = f"{asked}\n\n{extra}"
    return _pair({**row, "user": asked}, "user", "output")


def _prompt(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    if "completion" not in row:
        raise Misshapen('"completion" is missing (a row with "prompt" has the answer in "completion")')
    if isinstance(row["prompt"], list):
        return _listed(row, "prompt", "role", "content", {}) + _completion(row)
    return _pair(row, "prompt", "completion")


def _completion(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    if isinstance(row["completion"], list):
        return _listed({"completion": row["completion"]}, "completion", "role", "content", {})
    return (RawTurn("assistant", _text(row, "completion", '"completion"')),)


def _pair(row: Mapping[str, Any], asked: str, answered: str) -> tuple[RawTurn, ...]:
    head = (RawTurn("system", _text(row, "system", '"system"')),) if row.get("system") else ()
    user = RawTurn("user", _text(row, asked, f'"{asked}"'))
    return (*head, user, RawTurn("assistant", _text(row, answered, f'"{answered}"')))


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    """Return a text, or the text parts of an OpenAI content list joined."""
    value = row[key]
    if isinstance(value, str):
        return value.replace("\r\n", "\n")
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "".join(part["text"] for part in value)
    raise Misshapen(f"{where} is {_kind(value)} (expected a text)")


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return "null" if value is None else names[type(value)]
