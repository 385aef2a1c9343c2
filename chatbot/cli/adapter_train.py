"""`chatbot adapter train`: from flags to a job, and from its outcome to words. The job itself is adapters/train.py."""

import json as json_text
import os
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from chatbot.cli import adapter_train_options as given
from chatbot.cli.adapter_check import AsJson, DataFiles, checked, tell_warnings
from chatbot.cli.adapter_json import outcome_json
from chatbot.cli.configured import adapter_store, fail, settings_with
from chatbot.cli.how_to_try import how_to_try
from chatbot.settings import BUNDLED_MODEL, Settings

if TYPE_CHECKING:
    from adapters.persona import PersonaCard
    from adapters.start import Start
    from adapters.store import AdapterFolder, AdapterStore
    from adapters.train import Job, Outcome


def train(
    context: typer.Context,
    data: DataFiles,
    name: given.Name = None,
    base: given.Base = None,
    persona: given.PersonaFile = None,
    system: given.System = None,
    description: given.Description = None,
    preset: given.HowLong = given.Preset.NORMAL,
    epochs: given.Epochs = None,
    steps: given.Steps = None,
    lr: given.LearningRate = None,
    rank: given.Rank = None,
    max_length: given.MaxLength = None,
    seed: given.Seed = 0,
    val: given.Validation = None,
    start: given.From = None,
    out: given.Out = None,
    resume: given.Resume = False,
    restart: given.Restart = False,
    dry_run: given.DryRun = False,
    json: AsJson = False,
) -> None:
    """Train a persona, which a running server offers at once.

    It is a LoRA adapter. What is not said of the training is chosen by data and base; --dry-run shows it, with reasons.
    """
    from adapters.plan import Options
    from adapters.statistics import count, uniform_system
    from adapters.store import AdapterStore

    if resume and restart:
        fail("--resume goes on with an interrupted run and --restart throws it away; give one of them", 2)
    settings = settings_with(model=base, model_from="--base")
    chats = checked(data)
    validation = checked([val]) if val else None
    tell_warnings(count(chats))
    store = AdapterStore([out]) if out else adapter_store(settings)
    folder = _base_folder(settings.model_path)
    begun = _start(start, folder, [store, adapter_store(settings)]) if start else None
    file = persona or (begun.persona_file if begun else None)
    card = _card(name, file, system, description, uniform_system(chats.rows))
    _require_free(card.name, settings)

    from adapters.train import Job  # after all that can be told without torch, which takes seconds to import

    job = Job(
        data=chats,
        base=folder,
        persona=card,
        store=store,
        options=Options(preset.value, epochs, steps, lr, rank, max_length, seed),
        validation=validation,
        start=begun,
        is_resumed=resume,
        is_restarted=restart,
        is_dry_run=dry_run,
        base_name=settings.model_name if settings.model == BUNDLED_MODEL else None,
        command=_command(context, card.name, begun),
    )
    _spare_a_core()
    outcome = _run(job)
    _tell_outcome(outcome, json, went_on=begun is not None)
    if outcome.adapter:
        typer.echo(how_to_try(outcome.adapter, settings), err=True)


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
        return replace(
            card,
            name=check_name(name or card.name),
            system=(card.system or shared_system) if system is None else system.strip() or None,
            description=card.description if description is None else description,
        )
    except BadPersona as error:
        fail(str(error), 2)


def _require_free(name: str, settings: Settings) -> None:
    from adapters.errors import BadPersona
    from adapters.persona import check_new_name

    try:
        check_new_name(name, settings.model_name)
    except BadPersona as error:
        fail(str(error), 2)


def _base_folder(model: str) -> Path:
    from chatbot.engine.base import ModelNotFound
    from chatbot.engine.checkpoint import locate

    try:
        return locate(model)
    except ModelNotFound as error:
        fail(str(error), 2)


def _start(wanted: str, base: Path, stores: "list[AdapterStore]") -> "Start":
    """Return the adapter of this folder, or of this persona, published there or where all are."""
    from adapters.errors import AdapterNotFound, CannotTrain
    from adapters.start import read_start
    from chatbot.engine.digest import ADAPTER_CONFIG, model_digest

    try:
        if (Path(wanted) / ADAPTER_CONFIG).is_file():
            return read_start(Path(wanted), wanted)
        found = _version(wanted, model_digest(base), stores)
        return read_start(found.path, found.reference)
    except (AdapterNotFound, CannotTrain) as error:
        fail(str(error), 2)


def _version(wanted: str, base_digest: str, stores: "list[AdapterStore]") -> "AdapterFolder":
    """Return the version that fits the base, else the newest, to be taken to it. Raises AdapterNotFound."""
    from adapters.errors import AdapterNotFound

    for fitting in (base_digest, None):
        for store in stores:
            with suppress(AdapterNotFound):
                return store.resolve(wanted, base_digest=fitting)
    return stores[-1].resolve(wanted)


def _command(context: typer.Context, name: str, begun: "Start | None") -> str:
    """Return the command that does this again, in which a persona to go on from has its version."""
    values = context.params | {"name": name, "start": begun.name if begun else None}
    words = ["chatbot", "adapter", "train", *map(str, values["data"])]
    for option in context.command.params:
        value = values.get(option.name or "")
        if isinstance(value, str | int | float | Path) and not isinstance(value, bool):
            words += [option.opts[0], str(value)]
    return shlex.join(words)


def _run(job: "Job") -> "Outcome":
    """Return what training came to; exit and say why if it came to nothing."""
    from adapters.errors import AdapterError, BadData, BadPersona, BadSettings, OutOfMemory, TrainingInterrupted
    from adapters.progress import Reporter
    from adapters.train import train as train_job

    try:
        return train_job(job, Reporter())
    except TrainingInterrupted as stopped:
        fail(f"{stopped}; go on with:\n  {job.command} --resume", 130)
    except KeyboardInterrupt:
        fail(
            _kept(job) or f"stopped before the first checkpoint: nothing is kept; begin again with:\n  {job.command}",
            130,
        )
    except BadData as error:
        fail("\n".join(error.lines()), 2)
    except (BadPersona, BadSettings) as error:
        fail(str(error), 2)
    except OutOfMemory as error:
        fail("\n".join(filter(None, (str(error), _kept(job)))))
    except AdapterError as error:
        fail(str(error))
    except OSError as error:
        told = f"{error.filename or job.store.home(job.persona.name)}: {error.strerror or error}"
        fail("\n".join(filter(None, (told, _kept(job)))))


def _kept(job: "Job") -> str | None:
    """Return what there is of a run that ended before a persona was published, and how to have the rest."""
    from adapters.workspace import Workspace

    newest = Workspace(job.store.home(job.persona.name)).newest_complete()
    return f"no persona was published, but {newest} is kept; go on with:\n  {job.command}" if newest else None


def _spare_a_core() -> None:
    """Leave one core to the person and the server, unless told how many to take; the last one gains little."""
    import torch

    from chatbot.engine.machine import cores

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, cores() - 1))


def _tell_outcome(outcome: "Outcome", as_json: bool, *, went_on: bool) -> None:
    adapter, before, after = outcome.adapter, outcome.before, outcome.after
    if as_json:
        typer.echo(json_text.dumps(outcome_json(outcome), ensure_ascii=False))
    if adapter is None or before is None or after is None:
        if not as_json:
            for key, value in outcome.plan.settings().items():
                typer.echo(f"{key:<16} {value:<8} {outcome.plan.reasons.get(key, '')}".rstrip())
        return
    from adapters.card import verdict

    typer.echo(verdict(before, after, outcome.best_step, went_on=went_on), err=True)
    if not as_json:
        typer.echo(f"{adapter.reference} {adapter.path}")
