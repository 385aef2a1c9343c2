"""JSON at the border, read strictly: finite numbers, unique keys, bounded depth, storable text."""

import json
from collections import Counter
from typing import Any, NoReturn

from chatbot.protocol.errors import InvalidRequest

MAX_DEPTH = 16


def parse_object(raw: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a frame or body; raise InvalidRequest saying what is wrong with it."""
    try:
        value = json.loads(raw, object_pairs_hook=_object, parse_constant=_reject_constant, parse_float=_finite)
    except RecursionError:
        raise _invalid(f"JSON is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, integers of thousands of digits
        raise _invalid(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise _invalid(f"expected a JSON object, got {type(value).__name__}")
    clean = _clean(value, MAX_DEPTH)
    assert isinstance(clean, dict)
    return clean


def write_object(value: dict[str, Any]) -> str:
    """Return an object as JSON of storable text, with as few bytes as UTF-8 needs."""
    return storable(json.dumps(value, ensure_ascii=False))


def storable(text: str) -> str:
    """Replace lone surrogates, which no database accepts, and NUL by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "�")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _clean(value: Any, depth: int) -> Any:
    if depth == 0:
        raise _invalid(f"JSON is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_clean(element, depth - 1) for element in value]
    if isinstance(value, dict):
        return {storable(key): _clean(element, depth - 1) for key, element in value.items()}
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"key {twice!r} appears twice in one object")
    return result


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"number {digits[:20]} is out of range")
    return number


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest("invalid_json", message)
