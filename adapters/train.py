"""From example chats to a published adapter: label, plan, probe, measure, train, measure, publish.

Each stage says what it found and appends it to events.jsonl. Nothing appears in the store before the last line.
"""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapters.adapted import adapted_model, base_facts, save_adapter
from adapters.card import Measured, RunFacts, render_card
from adapters.chats import Chats, read_chats
from adapters.counted import counted
from adapters.errors import OutOfMemory
from adapters.labels import Labeller
from adapters.loss import mean_nll, perplexity
from adapters.packing import Example, PackedRow, Rows, packed_in_order
from adapters.persona import PERSONA_FILE, PersonaCard, render_persona
from adapters.plan import BaseFacts, Options, Plan, max_tokens, resolve
from adapters.probe import Probe, probe
from adapters.progress import Reporter, duration
from adapters.published import BASE_FILE, CARD_FILE, EVENTS_FILE, AdapterFolder
from adapters.quiet import quiet_libraries
from adapters.samples import PROMPTS, replies
from adapters.start import Begun, Start
from adapters.store import AdapterStore, remove_if_empty
from adapters.validate import ChatData
from adapters.workspace import Workspace, only_run
from chatbot.engine.out_of_memory import is_out_of_memory


@dataclass(frozen=True, slots=True)
class Job:
    """What to train, from what, on what, and where it goes."""

    data: ChatData
    base: Path
    persona: PersonaCard
    store: AdapterStore
    options: Options = field(default_factory=Options)
    validation: ChatData | None = None
    """Chats to validate on; by default a tenth of the data."""
    start: Start | None = None
    """The adapter to go on from."""
    is_resumed: bool = False
    """Whether there must be a stopped run to go on with."""
    is_restarted: bool = False
    """Whether a stopped run is thrown away, whatever it was about."""
    is_dry_run: bool = False
    base_name: str | None = None
    """What the base is called in the card; by default the name of its folder."""
    command: str = ""
    """What was typed, for the card."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    plan: Plan
    probe: Probe
    adapter: AdapterFolder | None = None
    """None after a dry run."""
    before: Measured | None = None
    after: Measured | None = None
    best_step: int = 0
    """Which step's state was published; 0 is the one that it went on from."""


def train(job: Job, report: Reporter) -> Outcome:
    """Train and publish an adapter. Raises AdapterError; TrainingInterrupted leaves a run that can be resumed.

    OutOfMemory may leave one too.
    """
    home = job.store.home(job.persona.name)
    work = Workspace(home)
    with quiet_libraries(), _memory_told():
        if job.is_dry_run:
            return _train(job, report, work)
        with only_run(home):
            job.store.sweep(job.persona.name)
            try:
                return _train(job, report, work)
            finally:
                work.remove_if_useless()
                remove_if_empty(home)


@contextmanager
def _memory_told() -> Iterator[None]:
    """Raise OutOfMemory for every way in which memory did not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"memory did not suffice (free some, or give a smaller --max-length or --rank): {error}"
        ) from error


def _train(job: Job, report: Reporter, work: Workspace) -> Outcome:
    base = base_facts(job.base, job.base_name)
    labeller = Labeller(job.base)
    longest = max_tokens(job.options, base)
    chats = read_chats(job.data, job.validation, job.persona.system, labeller, longest, report)
    plan = resolve(job.options, base, chats.training.examples, job.start, held_out=len(chats.validation.examples))
    rows = Rows(chats.training.examples, plan.rows)
    held = _held_rows(chats.validation.examples, plan)
    identity = _identity(job, base, plan)
    resume_from = _resumed_from(job, work, identity)
    report.say(f"{job.persona.name} on {base.name}: {chats.told()}")
    if note := chats.note(job.persona.system):
        report.say(f"note: {note}")
    model = adapted_model(job.base, plan, job.start)
    cost = probe(model, plan, rows.longest(), len(held))
    if not job.is_dry_run:  # and not before all that may fail at once: a stopped run would be lost for nothing
        for aside in work.set_aside_broken():
            report.say(f"note: a checkpoint that is not whole is not gone on from: {aside}")
        if resume_from is None:
            work.begin(identity, job.command)
        else:
            work.forget_after(resume_from)
        report.record_to(work.events)
    report.event("data", persona=job.persona.name, base=base.name, **chats.figures())
    _tell_plan(report, plan, cost)
    if job.is_dry_run:
        return Outcome(plan, cost)
    before = _measure(model, labeller, held, job.persona.system, report)
    report.event("before", **asdict(before))
    begun = _begun(job.start, model, before)
    best_step = _run(model, plan, cost.rows_at_once, rows, held, begun, work, resume_from, report)
    after = _measure(model, labeller, held, job.persona.system, report)
    report.event("after", best_step=best_step, **asdict(after))
    facts = _facts(job, base, plan, chats, best_step)
    adapter = job.store.publish(
        job.persona.name, lambda folder, version: _fill(folder, version, job, facts, model, work, before, after)
    )
    work.remove()
    return Outcome(plan, cost, adapter, before, after, best_step)


def _resumed_from(job: Job, work: Workspace, identity: dict[str, Any]) -> Path | None:
    """Return the checkpoint to go on from; None to begin at the start. Raises CannotTrain."""
    if job.is_resumed:
        return work.resume(identity)
    return None if job.is_restarted or job.is_dry_run else work.stopped_at(identity)


def _facts(job: Job, base: BaseFacts, plan: Plan, chats: Chats, best_step: int) -> RunFacts:
    """Return what the card tells of a run."""
    return RunFacts(
        base=base,
        plan=plan,
        data=job.data.files,
        data_sha256=job.data.sha256,
        rows=chats.distinct,
        examples=len(chats.training.examples),
        held_out=len(chats.validation.examples),
        duplicates=chats.duplicates,
        cut=chats.cut,
        dropped=chats.dropped,
        best_step=best_step,
        command=job.command,
        start=job.start,
    )


def _held_rows(examples: Sequence[Example], plan: Plan) -> Rows:
    """Return the packed rows to validate on, among which may be a chat longer than all that are trained on."""
    return packed_in_order(examples, max([plan.row_tokens, *(len(example.ids) for example in examples)]))


def _run(
    model: Any,
    plan: Plan,
    rows_at_once: int,
    rows: Sequence[PackedRow],
    held: Sequence[PackedRow],
    begun: Begun | None,
    work: Workspace,
    resume_from: Path | None,
    report: Reporter,
) -> int:
    from adapters.trainer import train_adapter

    report.event("training", steps=plan.steps, resumed_from=resume_from.name if resume_from else None)
    if resume_from:
        report.say(f"going on from {resume_from}, where a run like this one was stopped")
    return train_adapter(
        model,
        plan,
        rows,
        held,
        rows_at_once=rows_at_once,
        begun=begun,
        checkpoints=work.checkpoints,
        resume_from=resume_from,
        report=report,
    )


def _measure(
    model: Any, labeller: Labeller, held: Sequence[PackedRow], system: str | None, report: Reporter
) -> Measured:
    said = tuple(replies(model, labeller, system))
    if not held:
        return Measured(None, None, said)
    with report.counting("measuring", len(held)) as on_row:
        nll, accuracy = mean_nll(model, held, model.device, on_row)
    return Measured(perplexity(nll), accuracy, said)


def _begun(start: Start | None, model: Any, before: Measured) -> Begun | None:
    """Return what a run that goes on is compared with; None if no chat is held out."""
    from peft import get_peft_model_state_dict

    if start is None or before.perplexity is None:
        return None
    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    return Begun({name: weight.clone() for name, weight in weights.items()}, math.log(before.perplexity))


def _fill(
    folder: Path,
    version: int,
    job: Job,
    facts: RunFacts,
    model: Any,
    work: Workspace,
    before: Measured,
    after: Measured,
) -> None:
    """Write every file of a version."""
    save_adapter(model, folder, facts.base)
    base = {"name": facts.base.name, "digest": facts.base.digest}
    (folder / BASE_FILE).write_text(json.dumps(base, indent=2) + "\n", encoding="utf-8")
    (folder / PERSONA_FILE).write_text(render_persona(job.persona), encoding="utf-8")
    card = render_card(job.persona, version, facts, before, after, PROMPTS)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    shutil.copyfile(work.events, folder / EVENTS_FILE)


def _identity(job: Job, base: BaseFacts, plan: Plan) -> dict[str, Any]:
    """Return all that must be the same for a run to be resumed."""
    return {
        "base": base.digest,
        "data": job.data.sha256,
        "validation": job.validation.sha256 if job.validation else None,
        "settings": plan.settings(),
        "from": job.start.digest if job.start else None,
        "persona": asdict(job.persona),
    }


def _tell_plan(report: Reporter, plan: Plan, cost: Probe) -> None:
    report.event("plan", **plan.settings(), reasons=plan.reasons, **asdict(cost))
    report.say(
        f"{counted(plan.epochs, 'epoch')} in {counted(plan.steps, 'step')}, learning rate {plan.lr:g}, "
        f"rank {plan.rank}; measured: {cost.step_s:.2f} s a step, about {duration(cost.run_s)}, "
        f"{cost.peak_bytes / 1e6:.0f} MB"
    )
