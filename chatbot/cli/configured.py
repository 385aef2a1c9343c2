"""Settings for a command: what its flags say over what the environment and the files say."""

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from pydantic import ValidationError

from chatbot.settings import Settings, UnreadableSettings, said_in, settings_files

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from adapters.store import AdapterStore


def settings_with(**flags: Any) -> Settings:
    """Return the settings with the flags that were given; exit with 2 and every problem if they are not valid."""
    given = {name: value for name, value in flags.items() if value is not None}
    _tell_unknown_variables()
    try:
        return Settings(**given)
    except UnreadableSettings as error:
        fail(str(error), 2)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            typer.echo(_told(problem, given), err=True)
        raise typer.Exit(2) from None


def _tell_unknown_variables() -> None:
    """Warn of variables that set nothing; they may be another program's, so they are no error."""
    for variable in os.environ:
        prefix, name = variable[:8].lower(), variable[8:].lower()
        if prefix == "chatbot_" and name not in Settings.model_fields:
            typer.echo(f"{variable} is ignored: {_no_setting(name)}", err=True)


def _told(problem: "ErrorDetails", flags: Mapping[str, object]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    setting = f"{_source(str(problem['loc'][0]), flags)}: setting {name}"
    if problem["type"] == "extra_forbidden":
        return f"{setting}: {_no_setting(name)}"
    got = "" if name == "api_key" else f", got {problem['input']!r}"
    return f"{setting}: {problem['msg'].removeprefix('Value error, ')}{got}"


def _source(name: str, flags: Mapping[str, object]) -> str:
    """Return what says the value of a setting: a flag, a variable or a file."""
    if name in flags:
        return f"--{name.replace('_', '-')}"
    variables = (variable for variable in os.environ if variable.lower() == f"chatbot_{name}")
    files = (str(file.absolute()) for file in settings_files() if name in said_in(file))
    return next(variables, None) or next(files)


def _no_setting(name: str) -> str:
    near = get_close_matches(name, Settings.model_fields, 1)
    return "there is no such setting" + (f"; did you mean {near[0]}?" if near else "")


def adapter_store(settings: Settings) -> "AdapterStore":
    """Return the personas of the user and those that come with the program."""
    from adapters.store import AdapterStore

    return AdapterStore([settings.adapters_dir, settings.personas_dir])


def personas_like(incomplete: str) -> list[str]:
    """Return the names of personas that begin so, for the shell to complete."""
    names = {adapter.name for adapter in adapter_store(settings_with()).scan()}
    return sorted(name for name in names if name.startswith(incomplete))


def require_title(conversation: str | None) -> None:
    """Refuse an empty title, such as that of a variable that is not set: what is said would be in no conversation."""
    if conversation is not None and not conversation.strip():
        fail("--conversation: expected a title, got an empty one; leave it out for a new conversation", 2)


def tell_start() -> None:
    """Say on a terminal why nothing comes for some seconds."""
    if sys.stderr.isatty():
        typer.echo("starting the server…", err=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one sentence to stderr and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
