"""`python -m adapters.recipes.base.card MODEL`: the model card from the files beside the weights.

`training.json` is the recipe's, with the sentence that `--note` puts there; `evaluation.json` is that of `chatbot model
eval --out`, where `remarks` may say by part what is to be known of its figures, and counts for weights of its digest
alone; `transcripts.md` holds talks typed by hand. Every figure of the card is read from them, none is typed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # figures are plain JSON

from chatbot.engine.digest import model_digest

_SOURCES = Path(__file__).with_name("sources.md")
_HEAD = """---
language: en
license: apache-2.0
library_name: transformers
---

# The bundled base model

A very small English chat model ({parameters:,} parameters, Llama architecture), so that `chatbot` works without any
download. It is called Ada unless the system message says otherwise. It makes small talk, remembers what it was told
in the conversation, uses recalled messages, keeps to small instructions, does small sums, tells jokes and short
stories, says when it does not know, and stops.
"""
_LOSSES = """Each loss is that of a few batches, and each run draws dialogues of its own, so losses of two runs cannot
be compared. The questions below tell whether a run helped.
"""
_LIMITS = """## Limits, plainly

- It was trained for {minutes} minutes and is a toy beside the models that can be downloaded and served with `--model`.
- English only, but for the translator adapter. It knows a few hundred simple facts, and can state wrong ones with
  confidence.
- Sums beyond 20, long instructions and code are beyond it.
- Rare long words that were told may come back misspelt, and one thing told may be taken for another.
- With a persona's adapter it remembers less and keeps to fewer instructions; the table above says how much.
- Many of its answers in small talk miss the point; the talks below are unedited.
- It understands wordings like those of its grammars best; others may get a friendly answer that misses the point.
- Its context is 1,024 tokens, and it saw few dialogues longer than 512.
- It is not safe for advice of any kind. Refusals are learnt from examples and can be talked around.
- Do not take what it says about itself as more than practised phrases.
"""


def main(arguments: list[str] | None = None) -> None:
    """Write README.md into the model folder."""
    parser = argparse.ArgumentParser(prog="python -m adapters.recipes.base.card", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--note", help="one sentence on how this run was made, kept in training.json")
    options = parser.parse_args(arguments)
    if options.note is not None:
        _keep_note(options.model / "training.json", options.note)
    (options.model / "README.md").write_text(card(options.model), "utf-8")


def card(folder: Path) -> str:
    """The card's text for the model in this folder."""
    training = json.loads((folder / "training.json").read_text("utf-8"))
    evaluation = _evaluated(folder)
    parts = [
        _HEAD.format(parameters=training["parameters"]),
        _training(training),
        _evaluation(evaluation) if evaluation else "",
        _personas(evaluation) if evaluation and evaluation["personas"] else "",
        _LIMITS.format(minutes=round(sum(run["seconds"] for run in _runs(training)) / 60)),
        "## Data\n\n" + _SOURCES.read_text("utf-8"),
        _prompts(evaluation["prompts"]) if evaluation else "",
        _transcripts(folder / "transcripts.md"),
        _samples(training["samples"]),
    ]
    return "\n".join(part for part in parts if part)


def _evaluated(folder: Path) -> dict[str, Any] | None:
    """The figures of these very weights; None, and a line on stderr, where those that are there are of others."""
    file = folder / "evaluation.json"
    if not file.is_file():
        return None
    figures: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if figures.get("digest") == model_digest(folder):
        return figures
    print(
        f"{file}: left out of the card, for it is of other weights; chatbot model eval measures these", file=sys.stderr
    )
    return None


def _keep_note(file: Path, note: str) -> None:
    training = json.loads(file.read_text("utf-8")) | {"note": note}
    file.write_text(json.dumps(training, indent=1) + "\n", "utf-8")


def _training(figures: dict[str, Any]) -> str:
    shape, runs = figures["shape"], _runs(figures)
    sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shape.items())
    lines = [
        "## How it was made\n",
        "```\n" + "\n".join(run["command"] for run in runs) + "\n```\n",
        f"- shape: {sizes}; embeddings tied; bfloat16 safetensors",
        "- tokenizer: byte-level BPE, digits apart, six control tokens; the loss curve is in `training.json`",
    ]
    if note := figures.get("note"):
        lines.append(f"- {note}")
    table = _table(
        ("run", "tokens", "steps", "time", "on", "tokens/s", "loss on assistant turns, begin → end"),
        [_run(number, run) for number, run in enumerate(runs, 1)],
    )
    return "\n".join([*lines, "", table, "", _LOSSES])


def _runs(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that made a model one after the other, the first one first."""
    return [*(_runs(figures["before"]) if "before" in figures else ()), figures]


def _run(number: int, figures: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table of runs."""
    chat = [entry["loss"] for entry in figures["curve"] if entry["stage"] == "chat"]
    return (
        str(number),
        f"{figures['tokens'] / 1e6:.1f} M",
        f"{figures['steps']:,}",
        f"{figures['seconds'] / 60:.0f} min",
        figures["machine"],
        f"{figures['tokens'] / max(1, figures['seconds']):,.0f}",
        f"{chat[0]:.2f} → {chat[-1]:.2f}" if chat else "-",
    )


def _evaluation(figures: dict[str, Any]) -> str:
    base = figures["base"]
    rows = [(name, _percent(share)) for name, share in base["right"].items()]
    rows += [
        ("stops by itself", f"{base['stops_itself']:.1%}"),
        ("replies with a control token as text", str(base["control_tokens"])),
        ("distinct words / word pairs of all replies", f"{base['distinct_1']:.2f} / {base['distinct_2']:.2f}"),
    ]
    misses = "\n".join(
        f'- {miss["set"]}: "{_line(miss["asked"])}" wanted {miss["wanted"]!r}, got "{_line(miss["got"])}"'
        for miss in base["misses"]
    )
    text = (
        f"## Measured by `chatbot model eval`\n\nGreedy replies; at most {figures['count']} questions a row. Values"
        " that are told are held out of training, and where a row says so the wordings too.\n\n"
        f"{_table(('question', 'right'), rows)}\n"
        f"{_remark(figures, 'questions')}\n{_folded('Misses, up to two a row, unedited', misses)}"
    )
    if figures["perplexity"]:
        sources = [(name, f"{value:.1f}") for name, value in figures["perplexity"].items()]
        text += f"\nPerplexity per token on held-out documents:\n\n{_table(('source', 'perplexity'), sources)}\n"
        text += _remark(figures, "perplexity")
    return text


def _remark(figures: dict[str, Any], part: str) -> str:
    """What is to be known of a part of the figures, a paragraph of its own, or nothing."""
    remark = figures.get("remarks", {}).get(part)
    return f"\n{remark}\n" if remark else ""


def _personas(figures: dict[str, Any]) -> str:
    personas = figures["personas"]
    groups = list(next(iter(personas.values()))["drop"])
    rows = [
        (name, _percent(each["voice"]), _percent(each["voice_of_base"]), *(_points(each["drop"][g]) for g in groups))
        for name, each in personas.items()
    ]
    text = (
        "## With the bundled personas\n\nShare of ten fixed prompts answered in voice, the same for the base's own"
        " replies, and the change of the share of right answers with the adapter, in percentage points.\n\n"
        + _table(("persona", "in voice", "base in voice", *groups), rows)
        + "\n"
        + _remark(figures, "personas")
    )
    for name, each in personas.items():
        for subset, scores in each["translation"].items():
            text += (
                f"\n{name}, {subset}: BLEU {scores['bleu']}, chrF {scores['chrf']} on {scores['count']} held-out pairs."
            )
        shown = "\n".join(f"{_line(s['messages'][-1]['content'])}\n> {_line(s['reply'])}\n" for s in each["replies"])
        text += "\n" + _folded(f"{name}: its ten prompts, unedited", f"```\n{shown}```")
    return text


def _prompts(shown: Sequence[dict[str, Any]]) -> str:
    blocks = [
        "\n".join(f"{m['role']}: {_line(m['content'])}" for m in [*s["messages"], _as_turn(s["reply"])]) for s in shown
    ]
    talks = "```\n" + "\n\n".join(blocks) + "\n```"
    return "## Fixed prompts\n\n" + _folded(f"{len(shown)} prompts, greedy, unedited", talks)


def _transcripts(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _points(drop: float) -> str:
    """A share that fell by this much, as a change in percentage points."""
    return f"{-100 * drop:+z.0f}"


def _folded(summary: str, text: str) -> str:
    """Markdown that is shown once its summary is clicked on."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>\n"


def _as_turn(reply: str) -> Mapping[str, str]:
    return {"role": "assistant", "content": reply}


def _line(text: str) -> str:
    return " ".join(text.split())


def _samples(samples: list[list[dict[str, str]]]) -> str:
    blocks = [
        "\n".join(f"{message['role']}: {message['content']}" for message in conversation) for conversation in samples
    ]
    shown = "\n\n".join(f"```\n{block}\n```" for block in blocks)
    return "## Samples\n\n" + _folded(f"{len(blocks)} talks, greedy, unedited, good and bad", shown)


if __name__ == "__main__":
    main()
