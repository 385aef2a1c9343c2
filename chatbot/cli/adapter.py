"""`chatbot adapter`: personas from example chats. Data goes to stdout, talk to stderr.

Exit codes: 0 done, 1 failed, 2 bad usage or data, 130 interrupted (a checkpoint was written).
"""

import json as json_text
import os
import shlex
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatbot.cli.configured import fail, settings_with

if TYPE_CHECKING:
    from adapters.persona import PersonaCard
    from adapters.statistics import Statistics
    from adapters.store import AdapterFolder, AdapterStore
    from adapters.train import Outcome
    from chatbot.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Train personas from example chats, and look after them.")

DataFiles = Annotated[list[Path], typer.Argument(help="JSONL or CSV files with example chats.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Reference = Annotated[str, typer.Argument(help="A persona such as `pirate`, or one version such as `pirate@v2`.")]


class Preset(StrEnum):
    """How long to train."""

    QUICK = "quick"
    NORMAL = "normal"
    THOROUGH = "thorough"


@app.command()
def check(data: DataFiles, json: AsJson = False) -> None:
    """Check example chats and count what is in them; needs no model."""
    statistics, _ = _checked(data)
    if json:
        typer.echo(json_text.dumps(statistics.as_dict(), ensure_ascii=False))
    else:
        _print_statistics(statistics)
    for warning in statistics.warnings:
        typer.echo(f"note: {warning}", err=True)


@app.command()
def train(
    data: DataFiles,
    name: Annotated[str | None, typer.Option(help="Name of the persona; by default that of --persona.")] = None,
    base: Annotated[str | None, typer.Option(help="Model to train on; by default the one that is served.")] = None,
    persona: Annotated[Path | None, typer.Option(help="persona.toml: name, description, system, sampling.")] = None,
    system: Annotated[str | None, typer.Option(help="System prompt; by default the one all rows carry.")] = None,
    description: Annotated[str | None, typer.Option(help="One line for lists of personas.")] = None,
    preset: Annotated[Preset, typer.Option(help="How long to train.")] = Preset.NORMAL,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often each chat is seen.")] = None,
    lr: Annotated[float | None, typer.Option(min=1e-7, max=1.0, help="Learning rate.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, max=512, help="Rank of the adapter.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Longest chat in tokens.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same adapter.")] = 0,
    val: Annotated[Path | None, typer.Option(help="Chats to validate on; by default a tenth of the data.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to publish to; by default your own adapters.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, plan and measure, but do not train.")] = False,
    json: AsJson = False,
) -> None:
    """Train a persona: a LoRA adapter that a running server offers at once."""
    settings = settings_with()
    statistics, shared_system = _checked(data)
    for warning in statistics.warnings:
        typer.echo(f"note: {warning}", err=True)
    card = _card(name, persona, system or None, description, shared_system)
    folder = _base_folder(base or settings.model_path)
    from adapters.errors import AdapterError, BadData, BadPersona, TrainingInterrupted
    from adapters.plan import Options
    from adapters.progress import Reporter
    from adapters.store import AdapterStore
    from adapters.train import Job
    from adapters.train import train as train_job

    options = Options(preset=preset.value, epochs=epochs, lr=lr, rank=rank, max_tokens=max_length, seed=seed)
    command = _command(
        data, card.name, base, persona, system, description, preset, epochs, lr, rank, max_length, seed, val, out
    )
    store = AdapterStore([out]) if out else _store(settings)
    base_name = settings.model_name if base is None else None
    job = Job(tuple(data), folder, card, store, options, val, resume, dry_run, base_name, command)
    _spare_a_core()
    try:
        outcome = train_job(job, Reporter())
    except TrainingInterrupted as stopped:
        fail(f"{stopped}; go on with:\n  {command} --resume", 130)
    except BadData as error:
        fail("\n".join(error.lines()), 2)
    except BadPersona as error:
        fail(str(error), 2)
    except AdapterError as error:
        fail(str(error))
    _tell_outcome(outcome, json)


@app.command("list")
def list_adapters(json: AsJson = False) -> None:
    """List the personas and their versions."""
    store = _store(settings_with())
    found = store.scan()
    for problem in store.problems:
        typer.echo(problem, err=True)
    if json:
        typer.echo(json_text.dumps([_as_dict(adapter) for adapter in found], ensure_ascii=False))
        return
    width = max((len(adapter.reference) for adapter in found), default=0)
    for adapter in found:
        typer.echo(f"{adapter.reference:<{width}}  {adapter.base_name or 'any base'}  {adapter.description}".rstrip())
    if not found:
        typer.echo("no personas yet; try: chatbot adapter train DATA.jsonl --name pirate", err=True)


@app.command()
def show(reference: Reference, json: AsJson = False) -> None:
    """Show the card of a persona."""
    adapter = _resolve(_store(settings_with()), reference)
    if json:
        typer.echo(json_text.dumps(_as_dict(adapter), ensure_ascii=False))
        return
    typer.echo(f"{adapter.reference} in {adapter.path}, digest {adapter.digest[:12]}", err=True)
    try:
        typer.echo((adapter.path / "README.md").read_text(encoding="utf-8"), nl=False)
    except OSError:
        typer.echo(adapter.description)


@app.command()
def rm(
    reference: Reference,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove one version of a persona, or all of its versions."""
    from adapters.errors import BadPersona

    store = _store(settings_with())
    _resolve(store, reference)
    if not yes:
        if not sys.stdin.isatty():
            fail(f"nothing removed: give --yes to remove {reference} without being asked", 2)
        if not typer.confirm(f"Remove {reference}?", err=True):
            raise typer.Exit(1)
    try:
        for adapter in store.remove(reference):
            typer.echo(adapter.reference)
    except BadPersona as error:
        fail(str(error), 2)


def _checked(data: list[Path]) -> "tuple[Statistics, str | None]":
    """Return the figures of the data and the system prompt all rows share; exit 2 with every problem if it has any."""
    from adapters.errors import BadData
    from adapters.statistics import count, uniform_system
    from adapters.validate import read_data

    try:
        chats = read_data(data)
    except BadData as error:
        fail("\n".join([*error.lines(), _problems(len(error.problems))]), 2)
    return count(chats), uniform_system(chats.rows)


def _problems(count: int) -> str:
    return f"{count} problem{'' if count == 1 else 's'}; nothing was done"


def _print_statistics(statistics: "Statistics") -> None:
    typer.echo(f"rows               {statistics.rows} ({', '.join(f'{n} {s}' for s, n in statistics.shapes.items())})")
    typer.echo(f"duplicates         {statistics.duplicates} dropped")
    typer.echo(f"turns              {statistics.user_turns} user, {statistics.assistant_turns} assistant")
    typer.echo(f"multi-turn rows    {statistics.multi_turn_rows}")
    typer.echo(f"characters learned {statistics.assistant_characters}")
    typer.echo(f"distinct words     {statistics.distinct_words}")
    typer.echo(f"system messages    {statistics.distinct_systems} ({statistics.rows_without_system} rows without)")
    typer.echo("openings           " + ", ".join(f"{word} {share:.0%}" for word, share in statistics.openings))


def _card(
    name: str | None, file: Path | None, system: str | None, description: str | None, shared_system: str | None
) -> "PersonaCard":
    """Return the persona from its file and the flags; flags win."""
    from adapters.errors import BadPersona
    from adapters.persona import PersonaCard, check_name, read_persona

    if name is None and file is None:
        fail("give --name, or --persona with a file that has one", 2)
    try:
        card = read_persona(file, name=name) if file else PersonaCard(check_name(name or ""))
        card = replace(card, name=check_name(name or card.name))
    except BadPersona as error:
        fail(str(error), 2)
    return replace(
        card,
        system=system or card.system or shared_system,
        description=card.description if description is None else description,
    )


def _base_folder(model: str) -> Path:
    from chatbot.engine.base import ModelNotFound
    from chatbot.engine.checkpoint import locate

    try:
        return locate(model)
    except ModelNotFound as error:
        fail(str(error), 2)


def _store(settings: "Settings") -> "AdapterStore":
    from adapters.store import AdapterStore

    return AdapterStore([settings.adapters_dir, settings.personas_dir])


def _resolve(store: "AdapterStore", reference: str) -> "AdapterFolder":
    from adapters.store import AdapterNotFound

    try:
        return store.resolve(reference)
    except AdapterNotFound as error:
        fail(str(error), 2)


def _spare_a_core() -> None:
    """Leave one core to the person and the server; small models gain nothing from the last one."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))


def _tell_outcome(outcome: "Outcome", as_json: bool) -> None:
    adapter, before, after = outcome.adapter, outcome.before, outcome.after
    if as_json:
        typer.echo(json_text.dumps(_outcome_dict(outcome), ensure_ascii=False))
    if adapter is None or before is None or after is None:
        if not as_json:
            for key, value in outcome.plan.settings().items():
                typer.echo(f"{key:<16} {value:<8} {outcome.plan.reasons.get(key, '')}".rstrip())
        return
    from adapters.card import verdict

    typer.echo(verdict(before, after), err=True)
    if not as_json:
        typer.echo(f"{adapter.reference} {adapter.path}")
    typer.echo(f'try: chatbot ask --persona {adapter.name} "hello"', err=True)


def _outcome_dict(outcome: "Outcome") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "settings": outcome.plan.settings(),
        "reasons": outcome.plan.reasons,
        "probe": asdict(outcome.probe),
        "adapter": _as_dict(outcome.adapter) if outcome.adapter else None,
        "before": asdict(outcome.before) if outcome.before else None,
        "after": asdict(outcome.after) if outcome.after else None,
    }


def _as_dict(adapter: "AdapterFolder") -> dict[str, Any]:
    return {
        "name": adapter.name,
        "version": adapter.version,
        "path": str(adapter.path),
        "digest": adapter.digest,
        "base": adapter.base_name,
        "base_digest": adapter.base_digest,
        "description": adapter.description,
        "system": adapter.system,
        "sampling": dict(adapter.sampling),
        "created_at": adapter.created_at,
        "bytes": adapter.bytes_on_disk,
    }


def _command(data: list[Path], name: str, *values: object) -> str:
    """Return the command that does this again, only with what was given."""
    flags = (
        "base",
        "persona",
        "system",
        "description",
        "preset",
        "epochs",
        "lr",
        "rank",
        "max-length",
        "seed",
        "val",
        "out",
    )
    words = ["chatbot", "adapter", "train", *map(str, data), "--name", name]
    for flag, value in zip(flags, values, strict=True):
        if value is not None:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)
