"""The rows of a JSON file that has not one a line: an array, an object that holds one, or objects over many lines."""

import json
import re
from collections.abc import Iterator
from typing import Any

from adapters.shapes import Misshapen, is_row

NOT_BETWEEN = re.compile(r"[^\s,]")
"""What is not between two JSON values."""
NOT_AROUND_KEY = re.compile(r"[^\s,:]")
DECODER = json.JSONDecoder()


def values(text: str) -> Iterator[tuple[int, Any]]:
    """Yield each value that should be a row, with the line that it begins on.

    Raises JSONDecodeError, or Misshapen where it is not clear which values are meant.
    """
    at, end = _span(text)
    text = text[:end]
    line = 1 + text.count("\n", 0, at)
    while (begin := NOT_BETWEEN.search(text, at)) is not None:
        line += text.count("\n", at, begin.start())
        value, at = DECODER.raw_decode(text, begin.start())
        yield line, value
        line += text.count("\n", begin.start(), at)


def _span(text: str) -> tuple[int, int]:
    """Return where the rows are: in the one array, also if an object holds it, or all over the file."""
    begin = len(text) - len(text.lstrip())
    if text.startswith("[", begin):
        json.loads(text)  # which refuses an array that is not closed, and anything but commas in it
        return begin + 1, text.rindex("]")
    if text.startswith("{", begin):
        whole, end = DECODER.raw_decode(text, begin)
        if not text[end:].strip() and (key := _key_of_rows(whole)) is not None:
            return _span_of(text, begin + 1, key)
    return 0, len(text)


def _key_of_rows(whole: dict[str, Any]) -> str | None:
    """Return the key under which an object that is no row itself has its list of rows. Raises Misshapen for several."""
    if is_row(whole):
        return None
    keys = [key for key, value in whole.items() if isinstance(value, list) and value and is_row(value[0])]
    if len(keys) > 1:
        told = ", ".join(f'"{key}"' for key in keys)
        raise Misshapen(f"several lists of chats: {told} (make a file of each; give one to learn from, one as --val)")
    return keys[0] if keys else None


def _span_of(text: str, at: int, wanted: str) -> tuple[int, int]:
    """Return where the values of the array under this key are, in an object whose first key comes at `at` or later."""
    while True:
        key, at = DECODER.raw_decode(text, _next(text, at))
        begin = _next(text, at)
        _, at = DECODER.raw_decode(text, begin)
        if key == wanted:
            return begin + 1, at - 1


def _next(text: str, at: int) -> int:
    found = NOT_AROUND_KEY.search(text, at)
    assert found is not None  # the object was read before
    return found.start()
