"""What a setting may be, in words: for whoever said something else, and for the reference."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from chatbot.settings import Settings


def expected(setting: str) -> str:
    """Return what a setting may be, such as `a whole number from 0 to 65535`."""
    described = _schema()[setting]
    return next(words for kind in described.get("anyOf", [described]) if (words := _words(kind)))


@cache
def _schema() -> Mapping[str, Any]:
    properties: Mapping[str, Any] = Settings.model_json_schema()["properties"]
    return properties


def _words(kind: Mapping[str, Any]) -> str:
    match kind:
        case {"enum": [*values, last]}:
            return f"{', '.join(values)} or {last}"
        case {"type": "integer"}:
            return f"a whole number {_range(kind)}"
        case {"type": "number"}:
            return f"a number {_range(kind)}"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "array"}:
            return "a list of texts"
        case {"format": "path"}:
            return "a folder"
        case {"minLength": 1}:
            return "a text that is not empty"
    return "a text"


def _range(kind: Mapping[str, Any]) -> str:
    above = kind.get("exclusiveMinimum")
    return (
        f"from {kind['minimum']} to {kind['maximum']}" if above is None else f"above {above}, up to {kind['maximum']}"
    )
