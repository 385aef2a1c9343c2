"""`chatbot adapter import`: an adapter that was trained elsewhere, as a persona."""

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatbot.cli.adapter_check import AsJson
from chatbot.cli.adapter_json import adapter_json
from chatbot.cli.adapter_train_options import Description
from chatbot.cli.configured import adapter_store, fail, settings_with, tell
from chatbot.cli.how_to_try import how_to_try
from chatbot.settings import BUNDLED_MODEL

if TYPE_CHECKING:
    from adapters.store import AdapterFolder
    from chatbot.settings import Settings


def import_adapter(
    source: Annotated[Path, typer.Argument(help="Folder as PEFT writes it, or a zip or tar of one.")],
    name: Annotated[str | None, typer.Option(help="Name of the persona; by default that of its persona.toml.")] = None,
    base: Annotated[str | None, typer.Option(help="Model it is for; by default the one that is served.")] = None,
    system: Annotated[str | None, typer.Option(help="System prompt; by default that of its persona.toml.")] = None,
    description: Description = None,
    json: AsJson = False,
) -> None:
    """Make a persona of an adapter that was trained elsewhere.

    It passes the checks that the server makes when it loads one, or is refused.
    """
    from adapters.errors import AdapterError
    from chatbot.engine.base import ModelNotFound

    settings = settings_with(model=base, model_from="--base")
    try:
        adapter = _imported(source, settings, name, system, description)
    except (AdapterError, ModelNotFound) as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{error.filename or source}: {error.strerror or error}")
    told = json_text.dumps(adapter_json(adapter), ensure_ascii=False)
    typer.echo(told if json else f"{adapter.reference} {adapter.path}")
    typer.echo(how_to_try(adapter, settings), err=True)


def _imported(
    source: Path, settings: "Settings", name: str | None, system: str | None, description: str | None
) -> "AdapterFolder":
    from adapters.package import unpacked
    from adapters.persona import check_new_name
    from chatbot.engine.checkpoint import locate

    base = locate(settings.model_path)
    base_name = settings.model_name if settings.model == BUNDLED_MODEL else None
    with unpacked(source) as folder:
        from adapters.imported import check_import, named_base, persona_in, publish_import  # torch takes seconds

        persona = persona_in(folder, source, name, system, description)
        check_new_name(persona.name, settings.model_name)
        facts = check_import(folder, source, base, base_name)
        if named := named_base(folder):
            tell(f"note: trained on {named}, says its config; it fits {facts.name} and belongs to that now")
        return publish_import(folder, persona, adapter_store(settings), facts)
