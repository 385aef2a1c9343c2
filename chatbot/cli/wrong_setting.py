"""A setting that cannot be what it is said to be, in one sentence: who says it, what was expected, what to do."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from chatbot.cli.expected import expected
from chatbot.settings import Settings, said_in, settings_files

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def told(problem: "ErrorDetails", flags: Mapping[str, str]) -> str:
    """Return the sentence; `flags` are those that were given, by the names of their settings."""
    name = str(problem["loc"][0])
    source = flags.get(name) or next(_sources(name))
    if problem["type"] == "extra_forbidden":
        return f"{source}: {no_setting(name)}"
    own = problem["msg"].removeprefix("Value error, ") if problem["type"] == "value_error" else None
    got = "" if name == "api_key" else f", got {problem['input']!r}"
    return f"{source}: {own or f'expected {expected(name)}'}{got}; {_way_out(name)}"


def _sources(name: str) -> Iterator[str]:
    """Yield the variables and the files that say what a setting is, the one that wins first."""
    yield from (variable for variable in os.environ if variable.lower() == f"chatbot_{name}")
    yield from (f"{file.absolute()}: {name}" for file in settings_files() if name in said_in(file))


def _way_out(name: str) -> str:
    default = Settings.model_fields[name].default
    return "change it, or leave it out" + (f" for {json.dumps(default)}" if default not in (None, []) else "")


def no_setting(name: str, spelled: Callable[[str], str] = str) -> str:
    """Return what to say of a name that no setting has, with the nearest that one has, as it is spelled there."""
    near = get_close_matches(name, Settings.model_fields, 1)
    return "there is no such setting" + (f"; did you mean {spelled(near[0])}?" if near else "")
