"""The shapes of an example chat: what one JSON object or CSV row says, as turns. Pure.

The shape is found by the keys, so that one file can mix them. Keys that no shape has are left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "instruction": "system",
    "user": "user",
    "human": "user",
    "person": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
"""What others call the three roles, in any case of letters."""
PAIRS = (("user", "assistant"), ("question", "answer"), ("input", "output"))
SHAPES = (
    '"messages", "conversations", "instruction" and "output" or "response", "prompt" and "completion", '
    + ", or ".join(f'"{asked}" and "{answered}"' for asked, answered in PAIRS)
)


@dataclass(frozen=True, slots=True)
class RawTurn:
    """A turn as it was written; the role may be any text."""

    role: str
    text: str


class Misshapen(Exception):
    """A row whose keys or values are not what its shape asks for."""


class UnknownKeys(Misshapen):
    """A row with the keys of no shape."""


def is_row(value: object) -> bool:
    """Whether a value has the keys of a shape, whatever is wrong with what they hold."""
    try:
        turns_of(value)
    except UnknownKeys:
        return False
    except Misshapen:
        pass
    return isinstance(value, dict)


def turns_of(value: object) -> tuple[str, tuple[RawTurn, ...]]:
    """Return the shape of one JSON row and its turns. Raises Misshapen."""
    if not isinstance(value, dict):
        raise Misshapen(f"a row is a JSON object, not {_kind(value)} (use {SHAPES})")
    if "messages" in value:
        return "messages", _listed(value, "messages")
    if "conversations" in value:
        return "conversations", _listed(value, "conversations")
    if "instruction" in value:
        return "alpaca", _alpaca(value)
    if "prompt" in value:
        return "prompt", _prompt(value)
    for asked, answered in PAIRS:
        if asked in value and answered in value:
            return "pair", _pair(value, asked, answered)
    keys = ", ".join(f'"{key}"' for key in list(value)[:6]) or "none"
    raise UnknownKeys(f"keys unknown: {keys} (use {SHAPES})")


def _listed(row: Mapping[str, Any], key: str) -> tuple[RawTurn, ...]:
    turns = row[key]
    if not isinstance(turns, list):
        raise Misshapen(f'"{key}" is {_kind(turns)} (expected a list of turns)')
    return _system(row) + tuple(_turn(turn, f"turn {number}") for number, turn in enumerate(turns, 1))


def _turn(turn: object, where: str) -> RawTurn:
    """Return a turn as OpenAI or as ShareGPT writes it."""
    if not isinstance(turn, dict):
        raise Misshapen(f'{where}: {_kind(turn)} (expected {{"role": ..., "content": ...}})')
    is_sharegpt = "from" in turn or "value" in turn
    role_key, text_key = ("from", "value") if is_sharegpt else ("role", "content")
    for key in (role_key, text_key):
        if key not in turn:
            raise Misshapen(f'{where}: "{key}" is missing (a turn has "{role_key}" and "{text_key}")')
    role = turn[role_key]
    if not isinstance(role, str):
        raise Misshapen(f'{where}: "{role_key}" is {_kind(role)} (expected a text such as "user")')
    if turn.get("weight") not in (None, 1):
        raise Misshapen(f'{where}: "weight" is {turn["weight"]!r} (every reply is learned: remove it, or the turn)')
    text = _text(turn, text_key, f'{where}: "{text_key}"')
    return RawTurn(ROLES.get(role.strip().lower(), role), text)


def _alpaca(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    """Return the turns of an Alpaca row, or of one as Dolly names the keys."""
    answered = "response" if "response" in row and "output" not in row else "output"
    if answered not in row:
        raise Misshapen('"output" is missing (a row with "instruction" has the answer in "output" or "response")')
    extra = [key for key in ("input", "context") if row.get(key)]
    asked = "\n\n".join(_text(row, key, f'"{key}"') for key in ("instruction", *extra))
    return _system(row) + _history(row) + _pair({"user": asked, answered: row[answered]}, "user", answered)


def _history(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    """Return the earlier exchanges of an Alpaca row."""
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise Misshapen('"history" is no list of pairs (expected [["question", "answer"], ...])')
    pairs = [dict(zip(("user", "assistant"), pair, strict=True)) for pair in history]
    return tuple(turn for pair in pairs for turn in _pair(pair, "user", "assistant"))


def _prompt(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    if "completion" not in row:
        raise Misshapen('"completion" is missing (a row with "prompt" has the answer in "completion")')
    if isinstance(row["prompt"], list):
        return _listed(row, "prompt") + _completion(row)
    return _pair(row, "prompt", "completion")


def _completion(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    if isinstance(row["completion"], list):
        return _listed({"completion": row["completion"]}, "completion")
    return (RawTurn("assistant", _text(row, "completion", '"completion"')),)


def _pair(row: Mapping[str, Any], asked: str, answered: str) -> tuple[RawTurn, ...]:
    user = RawTurn("user", _text(row, asked, f'"{asked}"'))
    return (*_system(row), user, RawTurn("assistant", _text(row, answered, f'"{answered}"')))


def _system(row: Mapping[str, Any]) -> tuple[RawTurn, ...]:
    system = _text(row, "system", '"system"') if row.get("system") else ""
    return (RawTurn("system", system),) if system.strip() else ()


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    """Return a text, or the text parts of an OpenAI content list joined."""
    value = row[key]
    if isinstance(value, str):
        return value.replace("\r\n", "\n")
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "".join(part["text"] for part in value).replace("\r\n", "\n")
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
