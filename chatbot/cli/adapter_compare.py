"""`chatbot adapter compare`: what several personas answer to the same words, one below the other."""

import asyncio
import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatbot.cli.adapter_check import AsJson
from chatbot.cli.configured import adapter_store, fail, personas_like, settings_with

if TYPE_CHECKING:
    from adapters.store import AdapterFolder, AdapterStore
    from chatbot.settings import Settings

PROMPTS = ("Hello!", "What is your name?", "What do you like to do?", "I had a bad day.")
BASE = "base"
Answers = dict[str, list[str]]
"""The replies to all prompts, by who gave them."""


def compare(
    personas: Annotated[
        list[str],
        typer.Argument(
            autocompletion=personas_like,
            help="Two or more, such as `pirate poet`, `pirate@v1 pirate@v2`, or `base` for the plain model.",
            show_default=False,
        ),
    ],
    prompt: Annotated[
        list[str] | None, typer.Option(help="What to say to each; may be repeated. By default, a few greetings.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Model they are for; by default the one that is served.")] = None,
    json: AsJson = False,
) -> None:
    """Have several personas answer the same words.

    The replies are greedy, and each persona has the system prompt that it has when it is served.
    """
    from adapters.errors import AdapterNotFound
    from chatbot.engine.base import AdapterRejected, EngineError, ModelNotFound
    from chatbot.engine.checkpoint import locate
    from chatbot.engine.digest import model_digest
    from chatbot.logs import configure_logging

    settings = settings_with(model=base, model_from="--base")
    configure_logging("warning")
    prompts = prompt or list(PROMPTS)
    try:
        folder = locate(settings.model_path)
        chosen = _chosen(personas, adapter_store(settings), model_digest(folder))
        answers = asyncio.run(_answers(folder, settings, chosen, prompts))
    except (AdapterNotFound, AdapterRejected, ModelNotFound) as error:
        fail(str(error), 2)
    except EngineError as error:
        fail(str(error))
    _print(prompts, answers, json)


def _chosen(names: list[str], store: "AdapterStore", base_digest: str) -> "list[AdapterFolder | None]":
    """Return who is named and fits the base, each once; None for the plain model. Raises AdapterNotFound."""
    found: dict[str, AdapterFolder | None] = {}
    for name in names:
        persona = None if name == BASE else store.resolve(name, base_digest=base_digest)
        called = persona.reference if persona else BASE
        if called in found:
            typer.echo(f"note: {called} is named twice, and answers once", err=True)
        found[called] = persona
    return list(found.values())


async def _answers(
    folder: Path, settings: "Settings", personas: "list[AdapterFolder | None]", prompts: list[str]
) -> Answers:
    from adapters.evaluation.replies import replies
    from chatbot.engine.base import ChatMessage
    from chatbot.engine.local import LocalEngine

    engine = LocalEngine(folder, name=settings.model_name)
    await engine.start()
    try:
        found: Answers = {}
        for persona in personas:
            system = persona.system if persona else settings.instructions
            head = (ChatMessage("system", system),) if system else ()
            digest = await engine.load_adapter(persona.path) if persona else None
            chats = [(*head, ChatMessage("user", text)) for text in prompts]
            said = await replies(engine, chats, digest)
            found[persona.reference if persona else BASE] = [reply.text for reply in said]
        return found
    finally:
        await engine.stop()


def _print(prompts: list[str], answers: Answers, as_json: bool) -> None:
    if as_json:
        told: list[dict[str, Any]] = [
            {"prompt": text, "replies": {name: said[at] for name, said in answers.items()}}
            for at, text in enumerate(prompts)
        ]
        typer.echo(json_text.dumps(told, ensure_ascii=False))
        return
    from tui.safe_text import safe_line

    width = max(map(len, answers))
    for at, text in enumerate(prompts):
        typer.echo(f"{'' if at == 0 else chr(10)}> {text}")
        for name, said in answers.items():
            typer.echo(f"{name:<{width}}  {safe_line(said[at]) or '(nothing)'}")
