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


def personas_like(incomplete: str) -> list[str]:
    """Return the names of personas that begin so, for the shell to complete."""
    names = {adapter.name for adapter in adapter_store(settings_with()).scan()}
    return sorted(name for name in names if name.startswith(incomplete))


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one sentence to stderr and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
