"""Settings for a command: what its flags say over what the environment and the files say."""

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from pydantic import ValidationError

from chatbot.cli.wrong_setting import no_setting, told
from chatbot.settings import Settings, UnreadableSettings
from tui.safe_text import safe_text

if TYPE_CHECKING:
    from adapters.store import AdapterStore


def settings_with(*, model_from: str = "--model", **given: Any) -> Settings:
    """Return the settings with the flags that were given; exit with 2 and every problem if they are not valid.

    `model_from` is what the command calls the model.
    """
    said = {name: value for name, value in given.items() if value is not None}
    _tell_unknown_variables()
    try:
        return Settings(**said)
    except UnreadableSettings as error:
        fail(str(error), 2)
    except ValidationError as error:
        flags = {name: model_from if name == "model" else f"--{name.replace('_', '-')}" for name in said}
        for problem in error.errors(include_url=False):
            typer.echo(told(problem, flags), err=True)
        raise typer.Exit(2) from None


def _tell_unknown_variables() -> None:
    """Warn of variables that set nothing; they may be another program's, so they are no error."""
    for variable in os.environ:
        prefix, name = variable[:8].lower(), variable[8:].lower()
        if prefix == "chatbot_" and name not in Settings.model_fields:
            typer.echo(f"{variable} is ignored: {no_setting(name, _variable)}", err=True)


def _variable(setting: str) -> str:
    return f"CHATBOT_{setting.upper()}"


def adapter_store(settings: Settings) -> "AdapterStore":
    """Return the personas of the user and those that come with the program."""
    from adapters.store import AdapterStore

    return AdapterStore([settings.adapters_dir, settings.personas_dir])


def personas_like(incomplete: str) -> list[str]:
    """Return the names of personas that begin so, for the shell to complete."""
    names = {adapter.name for adapter in adapter_store(settings_with()).scan()}
    return sorted(name for name in names if name.startswith(incomplete))


def require_title(conversation: str | None) -> None:
    """Refuse what no conversation can be called, such as nothing, which a variable is that was not set."""
    if conversation is None:
        return
    from chatbot.protocol.requests import LONGEST_TITLE

    got = len(conversation.strip())
    if not 1 <= got <= LONGEST_TITLE:
        expected = f"a title of 1 to {LONGEST_TITLE} characters"
        fail(f"--conversation: expected {expected}, got {got}; leave it out for a new conversation", 2)


def tell_start() -> None:
    """Say on a terminal why nothing comes for some seconds."""
    if sys.stderr.isatty():
        typer.echo("starting the server…", err=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one sentence to stderr and exit."""
    tell(message)
    raise typer.Exit(code)


def tell(message: str) -> None:
    """Print to stderr, without what could steer a terminal: a message may quote what others wrote."""
    typer.echo(safe_text(message), err=True)
