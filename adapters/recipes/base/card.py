"""`python -m adapters.recipes.base.card MODEL`: the model card from `training.json` and `evaluation.json`.

Every figure of the card is read from these files, none is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any  # figures are plain JSON

_SOURCES = Path(__file__).with_name("sources.md")
_HEAD = """---
language: en
license: apache-2.0
library_name: transformers
---

# The bundled base model

A very small English chat model ({parameters:,} parameters, Llama architecture) so that `chatbot` works without any
download. It is called Ada unless the system message says otherwise. It small-talks, remembers what it was told
in the conversation, does small sums, tells jokes and short stories, says when it does not know, and stops.
"""
_LIMITS = """## Limits, plainly

- It was trained on a shared two-core CPU for {minutes} minutes and is a toy next to any
  downloaded model, which `--model` takes instead.
- English only. It knows only a few hundred simple facts, and it can state wrong ones with confidence.
- Sums beyond 20, long instructions, code and translation are beyond it.
- It understands wordings near those of its grammars best; far ones may get a friendly but beside-the-point answer.
- Its context is 1,024 tokens, and it saw few dialogues longer than 512.
- It is not safe for advice of any kind. Refusals are learnt from examples and can be talked around.
- Do not take what it says about itself as more than practised phrases.
"""


def main(arguments: list[str] | None = None) -> None:
    """Write README.md into the model folder."""
    parser = argparse.ArgumentParser(prog="python -m adapters.recipes.base.card", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--note", default="", help="one sentence on how this run was made, for the card")
    options = parser.parse_args(arguments)
    (options.model / "README.md").write_text(card(options.model, options.note), "utf-8")


def card(folder: Path, note: str = "") -> str:
    """The card's text for the model in this folder."""
    training = json.loads((folder / "training.json").read_text("utf-8"))
    evaluated = folder / "evaluation.json"
    evaluation = json.loads(evaluated.read_text("utf-8")) if evaluated.is_file() else None
    parts = [
        _HEAD.format(parameters=training["parameters"]),
        _training(training, note),
        _evaluation(evaluation) if evaluation else "",
        _LIMITS.format(minutes=round(training["seconds"] / 60)),
        "## Data\n\n" + _SOURCES.read_text("utf-8"),
        _samples(training["samples"]),
    ]
    return "\n".join(part for part in parts if part)


def _training(figures: dict[str, Any], note: str) -> str:
    curve, shape = figures["curve"], figures["shape"]
    chat = [entry for entry in curve if entry["stage"] == "chat"]
    sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shape.items())
    lines = [
        "## How it was made\n",
        "```\n" + figures["command"] + "\n```\n",
        f"- shape: {sizes}; embeddings tied; bfloat16 safetensors",
        f"- {figures['tokens'] / 1e6:.1f} M tokens in {figures['steps']:,} steps, {figures['seconds'] / 60:.0f} minutes"
        f" on {figures['threads']} CPU threads ({figures['tokens'] / max(1, figures['seconds']):,.0f} tokens/s)",
    ]
    if chat:
        lines.append(
            f"- loss on assistant turns: {chat[0]['loss']:.2f} at its start, {chat[-1]['loss']:.2f} at the end"
        )
    lines.append("- tokenizer: byte-level BPE, digits apart, six control tokens; the loss curve is in `training.json`")
    if note:
        lines.append(f"- {note}")
    return "\n".join(lines) + "\n"


def _evaluation(figures: dict[str, Any]) -> str:
    rows = "\n".join(f"| {name} | {share:.0%} |" for name, share in figures["right"].items())
    misses = "\n".join(
        f'- {miss["set"]}: "{miss["asked"]}" wanted {miss["wanted"][0]!r}, got "{miss["got"]}"'
        for miss in figures["misses"][:12]
    )
    return (
        f"## Measured, greedy, values never seen in training ({figures['count']} questions each)\n\n"
        f"| question | right |\n|---|---|\n{rows}\n| stops by itself | {figures['stops_itself']:.1%} |\n\n"
        f"Some of the misses:\n\n{misses}\n"
    )


def _samples(samples: list[list[dict[str, str]]]) -> str:
    blocks = [
        "\n".join(f"{message['role']}: {message['content']}" for message in conversation) for conversation in samples
    ]
    return (
        "## Samples, greedy, unedited, good and bad\n\n" + "\n\n".join(f"```\n{block}\n```" for block in blocks) + "\n"
    )


if __name__ == "__main__":
    main()
