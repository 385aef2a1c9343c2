"""Reads the rows of JSONL, JSON and CSV files, compressed or not; what a row may look like is in `shapes`.

Reading never stops at the first fault: what a row cannot give becomes a Problem with file and line. Whether the turns
that were read make a chat is for `validate` to say.
"""

import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from adapters.counted import counted
from adapters.errors import Problem
from adapters.json_values import values
from adapters.own_export import is_export, whole_exchanges
from adapters.shapes import Misshapen, RawTurn, turns_of

CSV_COLUMNS = (
    "user,assistant or question,answer or prompt,completion or instruction,input,output; "
    "a column system may be among them"
)
DECOMPRESS = {b"\x1f\x8b": gzip.decompress, b"\xfd7zXZ\0": lzma.decompress}
"""By what such a file begins with."""
WIDE = "UTF-16 or UTF-32 (save it as UTF-8)"
FOREIGN = {
    b"PK\x03\x04": "a ZIP archive, as spreadsheets are (save a sheet as CSV, or unpack it)",
    b"PAR1": "Parquet (save it as JSONL)",
    b"SQLite format 3\0": "an SQLite database (save its rows as JSONL)",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard (unpack it, or take gzip or xz)",
    b"BZh": "compressed by bzip2 (unpack it, or take gzip or xz)",
    b"\xff\xfe": WIDE,
    b"\xfe\xff": WIDE,
}
"""What cannot be read, likewise."""
COMPRESSED_SUFFIXES = (".gz", ".xz")
CSV_SUFFIXES = (".csv", ".tsv")
CSV_DELIMITERS = ",;\t"
LINE_END = re.compile(rb"[\r\n]")
LONGEST_COLUMNS = 1000
"""Characters of a first line that may be names of columns."""
BOM = "\ufeff"
T = TypeVar("T")
TRAILING_COMMA = re.compile(r",\s*([]}])")
VALUES = "the file is read as one array, or as objects one after the other"


@dataclass(frozen=True, slots=True)
class RawRow:
    """One example chat as it was written."""

    file: Path
    line: int
    shape: str
    turns: tuple[RawTurn, ...]
    place: str = ""
    """Which of its line's rows it is, for the start of a sentence, where a line has several."""
    is_cut: bool = False
    """Whether it is a conversation of an export of which something was never finished, and is left out."""


def read_rows(path: Path, on_bytes: Callable[[bytes], None] = lambda _: None) -> Iterator[RawRow | Problem]:
    """Yield every row of a file, compressed (gzip, xz) or not, or the problem that stands in its place.

    The file is read once, for it may be a pipe; on_bytes gets what is in it.
    """
    try:
        written = path.read_bytes()
        on_bytes(written)
        data = _plain(written)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        yield Problem(path, 1, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return
    if foreign := _known_by_its_beginning(FOREIGN, data):
        yield Problem(path, 1, f"the file is {foreign}")
    elif b"\0" in data[:2]:
        yield Problem(path, 1, f"the file is {WIDE}")
    elif _suffix(path) in CSV_SUFFIXES or _begins_with_columns(data):
        yield from _read_csv(path, data)
    elif _goes_over_lines(data):
        yield from _read_values(path, data)
    else:
        yield from _read_jsonl(path, data)


def _plain(data: bytes) -> bytes:
    """Return what a file holds, whatever it is called."""
    decompress = _known_by_its_beginning(DECOMPRESS, data)
    return decompress(data) if decompress else data


def _known_by_its_beginning(kinds: dict[bytes, T], data: bytes) -> T | None:
    return next((kind for beginning, kind in kinds.items() if data.startswith(beginning)), None)


def _suffix(path: Path) -> str:
    """Return the file name's suffix, before that of a compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSED_SUFFIXES else suffix


def _goes_over_lines(data: bytes) -> bool:
    """Whether a file is one array, or its first line is all of it or leaves an object open."""
    first, _, rest = data.removeprefix(BOM.encode()).lstrip().partition(b"\n")
    is_open = first.rstrip().endswith((b"{", b"[", b",")) and not _is_whole(first)
    return first.startswith(b"[") or (first.startswith(b"{") and (is_open or not rest.strip()))


def _is_whole(line: bytes) -> bool:
    try:
        _parse(_without_comma(line))
    except Misshapen:
        return False
    return True


def _without_comma(line: bytes) -> bytes:
    return line.rstrip().removesuffix(b",")


def _read_jsonl(path: Path, data: bytes) -> Iterator[RawRow | Problem]:
    lines = data.removeprefix(BOM.encode()).split(b"\n")
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            value = _parse(_without_comma(raw))
        except Misshapen as error:
            yield Problem(path, number, str(error))
        else:
            yield _row(path, number, value)


def _read_values(path: Path, data: bytes) -> Iterator[RawRow | Problem]:
    """Yield the rows of a file in which they go over many lines, each with the line that it begins on."""
    try:
        before = 0
        for number, (line, value) in enumerate(values(data.decode("utf-8-sig")), 1):
            yield _row(path, line, value, f"row {number}: " if line == before else "")
            before = line
    except UnicodeDecodeError as error:
        yield _not_utf8(path, data, error)
    except Misshapen as error:
        yield Problem(path, 1, str(error))
    except json.JSONDecodeError as error:
        fault = _plainer(error)
        yield Problem(path, fault.lineno, f"not JSON: {fault.msg} at column {fault.colno} ({VALUES})")
    except (ValueError, RecursionError) as error:
        yield Problem(path, 1, f"not JSON that can be read: {error} (nested too deeply, or a number too long)")


def _row(path: Path, line: int, value: object, place: str = "") -> RawRow | Problem:
    try:
        shape, turns = turns_of(value)
    except Misshapen as error:
        return Problem(path, line, f"{place}{error}")
    if not (isinstance(value, dict) and is_export(value)):
        return RawRow(path, line, shape, turns, place)
    said, is_cut = whole_exchanges(value, turns)
    return RawRow(path, line, shape, said, place, is_cut)


def _not_utf8(path: Path, data: bytes, error: UnicodeDecodeError) -> Problem:
    line = data.count(b"\n", 0, error.start) + 1
    return Problem(path, line, f"byte 0x{data[error.start]:02x} is not UTF-8 (save the file as UTF-8)")


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
        fault = _plainer(error)
        raise Misshapen(f"not JSON: {fault.msg} at column {fault.colno} (each line is one complete object)") from None
    except (ValueError, RecursionError) as error:
        raise Misshapen(f"not JSON that can be read: {error} (nested too deeply, or a number too long)") from None


def _plainer(error: json.JSONDecodeError) -> json.JSONDecodeError:
    """Return the fault at the comma if it is one too many, for the parser tells of what it misses after it."""
    comma = error.doc.rfind(",", 0, error.pos + 1)
    found = TRAILING_COMMA.match(error.doc, max(0, comma))
    if found is None or error.pos > found.end():
        return error
    return json.JSONDecodeError(f'a comma too many, before "{found[1]}",', error.doc, comma)


def _read_csv(path: Path, data: bytes) -> Iterator[RawRow | Problem]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield _not_utf8(path, data, error)
        return
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a long cell is no fault
    first = _first_line(data)
    delimiter = _delimiter(first) or max(CSV_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = _columns(next(reader, []))
        if fault := _fault_in_header(header):
            yield Problem(path, 1, fault)
            return
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                said = f"{counted(len(cells), 'cell')}, expected {len(header)} (put texts with commas in quotes)"
                yield Problem(path, line, said)
                continue
            yield _row(path, line, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        yield Problem(path, reader.line_num, f"not CSV: {error} (look for a quote that is not closed)")


def _begins_with_columns(data: bytes) -> bool:
    """Whether the first line names the columns of CSV, as it may in a pipe, which has no name that says what it is."""
    first = _first_line(data)
    if len(first) > LONGEST_COLUMNS or first.startswith(("{", "[")):
        return False
    return _delimiter(first) is not None


def _first_line(data: bytes) -> str:
    return LINE_END.split(data, 1)[0].decode("utf-8-sig", "replace").strip()


def _delimiter(first_line: str) -> str | None:
    """Return what parts a first line into columns that make a chat; None if nothing does."""
    for delimiter in CSV_DELIMITERS:
        cells = next(csv.reader([first_line], delimiter=delimiter), [])
        if len(cells) > 1 and _fault_in_header(_columns(cells)) is None:
            return delimiter
    return None


def _columns(cells: list[str]) -> list[str]:
    return [name.strip().lower() for name in cells]


def _fault_in_header(header: list[str]) -> str | None:
    if twice := [name for name in dict.fromkeys(header) if name and header.count(name) > 1]:
        return f"several columns {', '.join(twice)} (rename all but one of each)"
    try:
        turns_of(dict.fromkeys(header, ""))
    except Misshapen:
        return f"columns {', '.join(header) or 'none'} (use {CSV_COLUMNS})"
    return None
