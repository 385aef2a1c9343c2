"""Settings for a command: what its flags say over what the environment and the files say."""

from typing import TYPE_CHECKING, Any, NoReturn

import typer
from pydantic import ValidationError

from chatbot.settings import Settings

if TYPE_CHECKING:
    from adapters.store import AdapterStore


def settings_with(**flags: Any) -> Settings:
    """Return the settings with the flags that were given; exit with 2 and every problem if they are not valid."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            name = ".".join(str(part) for part in problem["loc"])
            got = "" if name == "api_key" else f", got {problem['input']!r}"
            typer.echo(f"setting {name}: {problem['msg']}{got}", err=True)
        raise typer.Exit(2) from None


def adapter_store(settings: Settings) -> "AdapterStore":
    """Return the personas of the user and those that come with the program."""
    from adapters.store import AdapterStore

    return AdapterStore([settings.adapters_dir, settings.personas_dir])


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one sentence to stderr and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
