"""The README.md of an adapter: what it is, from what, how well, and how to make it again. Pure."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from adapters.counted import counted
from adapters.persona import PersonaCard
from adapters.plan import BaseFacts, Plan
from adapters.start import Start
from chatbot.engine.base import ChatMessage

PACKAGES = ("chatbot", "torch", "transformers", "peft", "accelerate", "tokenizers")


@dataclass(frozen=True, slots=True)
class Measured:
    """How the model does at one moment."""

    perplexity: float | None
    """On the held-out chats' replies; None if no chat was held out."""
    accuracy: float | None
    """Share of the held-out replies' tokens that were the likeliest."""
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a card says about the run."""

    base: BaseFacts
    plan: Plan
    data: tuple[Path, ...]
    data_sha256: str
    rows: int
    examples: int
    held_out: int
    duplicates: int
    cut: int
    dropped: int
    best_step: int
    command: str
    start: Start | None = None
    """The adapter that training went on from."""


def verdict(before: Measured, after: Measured, best_step: int, *, went_on: bool = False) -> str:
    """Return in one line what training did to the held-out chats; `went_on`: from an adapter there was.

    best_step: which step's state is kept; 0 is the state it went on from.
    """
    if before.perplexity is None or after.perplexity is None:
        way_out = "give 10 chats or more, or --val with some that are neither learned from nor too long"
        return f"no chats were held out, so only the samples tell how it went ({way_out})"
    change = after.perplexity / before.perplexity - 1
    said = f"validation perplexity {before.perplexity:.2f} → {after.perplexity:.2f} ({change:+.1%})"
    if best_step == 0:
        return f"{said}: no step was better than what it went on from, which is kept; add rows or take a lower --lr"
    if change > 0.02:
        return f"{said}: worse than before; take a lower --lr or fewer --steps"
    if went_on and change >= -0.02:
        return f"{said}: as good as before"
    return said if change < -0.02 else f"{said}: nothing was learned that helps with new chats; add rows or epochs"


def render_card(
    persona: PersonaCard,
    number: int,
    facts: RunFacts,
    before: Measured,
    after: Measured,
    prompts: Sequence[Sequence[ChatMessage]],
) -> str:
    """Return the text of the card, in which names of files that are not UTF-8 are shown as far as they are."""
    parts = [
        f"# {persona.name} v{number}",
        persona.description,
        "\n".join(f"> {line}".rstrip() for line in (persona.system or "").splitlines()),
        f"LoRA adapter for **{facts.base.name}** (base digest `{facts.base.digest}`; it is refused on any other)."
        + _start(facts.start),
        _result(facts, before, after),
        _samples(before, after, prompts),
        _data(facts),
        _settings(facts.plan),
        "## Made by\n\n" + _code(facts.command) + "\n\n" + _versions(),
    ]
    return os.fsencode("\n\n".join(part for part in parts if part) + "\n").decode("utf-8", "replace")


def _start(start: Start | None) -> str:
    if start is None:
        return ""
    return f" It went on from {start.name} (digest `{start.digest}`), which is needed to train it again, not to use it."


def _result(facts: RunFacts, before: Measured, after: Measured) -> str:
    lines = [
        "## Result",
        "",
        verdict(before, after, facts.best_step, went_on=facts.start is not None).capitalize()
        + f"; kept is step {facts.best_step} of {facts.plan.steps}.",
    ]
    if before.perplexity is not None and before.accuracy is not None and after.accuracy is not None:
        lines += [
            "",
            "| on the held-out chats | before | after |",
            "|---|---|---|",
            f"| perplexity | {before.perplexity:.3f} | {after.perplexity:.3f} |",
            f"| next token right | {before.accuracy:.1%} | {after.accuracy:.1%} |",
        ]
    return "\n".join(lines)


def _samples(before: Measured, after: Measured, prompts: Sequence[Sequence[ChatMessage]]) -> str:
    lines = ["## Samples", "", "Greedy replies, unedited.", "", "| prompt | before | after |", "|---|---|---|"]
    for prompt, old, new in zip(prompts, before.replies, after.replies, strict=True):
        asked = " / ".join(message.text for message in prompt)
        lines.append(f"| {_cell(asked)} | {_cell(old)} | {_cell(new)} |")
    return "\n".join(lines)


def _data(facts: RunFacts) -> str:
    files = ", ".join(f"`{path.name}`" for path in facts.data)
    return "\n".join(
        [
            "## Data",
            "",
            f"{files}, sha256 `{facts.data_sha256}`: {counted(facts.rows, 'chat')} after dropping "
            f"{counted(facts.duplicates, 'duplicate')}; "
            f"{facts.examples} trained on, {facts.held_out} held out, {facts.cut} cut and {facts.dropped} dropped "
            "because they were too long.",
        ]
    )


def _settings(plan: Plan) -> str:
    lines = ["## Settings", "", "| setting | value | why |", "|---|---|---|"]
    for name, value in plan.settings().items():
        lines.append(f"| {name} | {value} | {plan.reasons.get(name, '')} |")
    return "\n".join(lines)


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found) + "."


def _code(text: str) -> str:
    return f"```sh\n{text}\n```"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) or "(nothing)"
