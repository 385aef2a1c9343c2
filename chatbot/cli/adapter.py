"""`chatbot adapter`: personas from example chats. Data goes to stdout, talk to stderr."""

import json as json_text
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from chatbot.cli.adapter_check import AsJson, check
from chatbot.cli.adapter_compare import compare
from chatbot.cli.adapter_import import import_adapter
from chatbot.cli.adapter_json import adapter_json
from chatbot.cli.adapter_train import train
from chatbot.cli.configured import adapter_store, fail, personas_like, settings_with, tell
from tui.safe_text import safe_line, safe_text

if TYPE_CHECKING:
    from adapters.store import AdapterStore

app = typer.Typer(no_args_is_help=True, help="Train personas from example chats, and look after them.")
app.command()(check)
app.command()(train)
app.command()(compare)
app.command("import")(import_adapter)

T = TypeVar("T")
Reference = Annotated[
    str,
    typer.Argument(
        autocompletion=personas_like, help="A persona such as `pirate`, or one version such as `pirate@v2`."
    ),
]


@app.command("list")
def list_adapters(json: AsJson = False) -> None:
    """List the personas and their versions."""
    store = adapter_store(settings_with())
    found = store.scan()
    _tell_problems(store)
    for name, run in store.stopped_runs():
        way_out = f"{run.way_on()}, or add --restart to begin anew"
        if all(adapter.name != name for adapter in found):  # or they would go too
            way_out += f", or: chatbot adapter rm {name}"
        tell(f"note: a run of {name} was stopped, {run.folder}: {way_out}")
    if json:
        typer.echo(json_text.dumps([adapter_json(adapter) for adapter in found], ensure_ascii=False))
        return
    width = max((len(adapter.reference) for adapter in found), default=0)
    for adapter in found:
        base, description = safe_line(adapter.base_name or "any base"), safe_line(adapter.description)
        typer.echo(f"{adapter.reference:<{width}}  {base}  {description}".rstrip())
    if not found:
        typer.echo("no personas yet; try: chatbot adapter train DATA.jsonl --name pirate", err=True)


@app.command()
def show(reference: Reference, json: AsJson = False) -> None:
    """Show the card of a persona."""
    store = adapter_store(settings_with())
    adapter = _found(store, store.resolve, reference)
    if json:
        typer.echo(json_text.dumps(adapter_json(adapter), ensure_ascii=False))
        return
    typer.echo(f"{adapter.reference} in {adapter.path}, digest {adapter.digest[:12]}", err=True)
    try:
        typer.echo(safe_text((adapter.path / "README.md").read_text(encoding="utf-8", errors="replace")), nl=False)
    except OSError:
        typer.echo(safe_text(adapter.description))


@app.command()
def rm(
    reference: Reference,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a persona, or one version of it.

    With all versions a run of it that was stopped is removed too. Without its newest version the one before answers.
    """
    from adapters.errors import AdapterError

    store = adapter_store(settings_with())
    run = store.stopped_run(reference)
    _found(store, store.own, reference)
    if not yes:
        if not sys.stdin.isatty():
            fail(f"nothing removed: give --yes to remove {reference} without being asked", 2)
        what = f"{reference} and the run that has not ended" if run else reference
        if not typer.confirm(f"Remove {what}?", err=True):
            raise typer.Exit(1)
    try:
        for version in store.remove(reference):
            typer.echo(version)
    except AdapterError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    if run and not run.exists():
        typer.echo(run)


@app.command()
def rename(reference: Reference, name: Annotated[str, typer.Argument(help="Its new name.")]) -> None:
    """Give a persona another name, with all its versions."""
    from adapters.errors import AdapterError
    from adapters.persona import check_new_name

    settings = settings_with()
    try:
        check_new_name(name, settings.model_name)
        for adapter in adapter_store(settings).rename(reference, name):
            typer.echo(adapter.reference)
    except AdapterError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    typer.echo(
        f"note: conversations that {reference} answered ask for it by that name; choose {name} in them", err=True
    )


def _found(store: "AdapterStore", find: Callable[[str], T], reference: str) -> T:
    """Return what the store finds for a reference; exit with 2 if that is nothing."""
    from adapters.errors import AdapterError

    try:
        return find(reference)
    except AdapterError as error:
        fail(str(error), 2)
    finally:
        _tell_problems(store)


def _tell_problems(store: "AdapterStore") -> None:
    """Say on stderr what was passed over: what is broken or cannot be read may be what was meant."""
    for problem in store.problems:
        tell(problem)
