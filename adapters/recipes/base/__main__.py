"""Command line of the recipe: from a folder of texts (or none) to the bundled model."""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from adapters.recipes.base.card import card
from adapters.recipes.base.checkpoint import RunState
from adapters.recipes.base.corpus import Corpus
from adapters.recipes.base.documents import Encoder
from adapters.recipes.base.freed_memory import keep_freed_memory
from adapters.recipes.base.mixture import Mixture
from adapters.recipes.base.model import (
    SHAPES,
    Shape,
    finished_model,
    new_model,
    parameter_count,
    save_model,
    shape_of,
)
from adapters.recipes.base.prefetch import prefetched
from adapters.recipes.base.progress import LATE, Budget
from adapters.recipes.base.repeated import Repeated
from adapters.recipes.base.samples import all_samples
from adapters.recipes.base.throughput import is_bfloat16_faster
from adapters.recipes.base.tokenizer import train_tokenizer
from adapters.recipes.base.train import PEAK_RATE, Plan, train
from adapters.recipes.dialogues import dialogues

BATCH_TOKENS = 8192
PARTS = {"all": "", "attention": "self_attn"}
"""What may be learnt, each with what the names of its parameters have in common."""


def main(arguments: list[str] | None = None) -> None:
    """Train and save; a run killed in between goes on where it was when the command is given again."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    corpus = Corpus.read(options.corpus)
    tokenizer = _tokenizer(_run(options) / "tokenizer", corpus, options)
    model = _model(tokenizer, options)
    print(f"{parameter_count(model):,} parameters", flush=True)
    plan = _plan(options)
    state = _trained(model, tokenizer, corpus, plan, options)
    if not plan.is_over(state):
        print(f"paused after {state.step} steps; give the same command again to go on")
        return
    model.to("cpu").set_attn_implementation("sdpa")  # what a GPU trained with knows no prompts
    save_model(model, tokenizer, options.out)
    samples = all_samples(model, tokenizer, options.sample_tokens)
    _write_figures(options, _figures(options, model, plan, state, corpus) | {"samples": samples})
    for sample in samples:
        print("\n".join(f"{message['role']:>9}: {message['content']}" for message in sample), end="\n\n")


def _run(options: argparse.Namespace) -> Path:
    return Path(options.run or options.out / "run")


def _trained(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    corpus: Corpus,
    plan: Plan,
    options: argparse.Namespace,
) -> RunState:
    """Train the model as far as the plan and a pause let it, and return where it is then."""
    pad = tokenizer.convert_tokens_to_ids("<|pad|>")
    is_one_row = options.device == "cuda"
    encoder = Encoder(tokenizer)
    mixture = Mixture(encoder, corpus, options.seed, options.batch_tokens, pad, is_one_row, options.remembering)
    with prefetched(mixture, options.workers) as batches:
        return train(
            model,
            Repeated(batches, options.passes),
            plan,
            _run(options) / "checkpoint",
            lambda entry: print(json.dumps(entry), flush=True),
        )


def _figures(
    options: argparse.Namespace, model: LlamaForCausalLM, plan: Plan, state: RunState, corpus: Corpus
) -> dict[str, Any]:
    """Return what the card tells of a finished run."""
    return {
        "command": _command(options),
        "parameters": parameter_count(model),
        "shape": asdict(shape_of(model)),
        "steps": state.step,
        "tokens": state.tokens,
        "labelled_tokens": state.labels,
        "seconds": round(state.seconds),
        "machine": _machine(options),
        "precision": "bfloat16" if plan.is_bfloat16 else "float32",
        "corpus": sorted(corpus.texts),
        "curve": state.log,
    }


def _write_figures(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write training.json, with that of the model that was gone on from, and the card."""
    if options.start:
        figures["before"] = json.loads((options.start / "training.json").read_text("utf-8"))
    (options.out / "training.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    (options.out / "README.md").write_text(card(options.out), "utf-8")


def _tokenizer(folder: Path, corpus: Corpus, options: argparse.Namespace) -> PreTrainedTokenizerFast:
    """The run's tokenizer: trained once, or the finished model's, so that a run that goes on keeps it."""
    if options.start:
        folder = options.start
    elif not (folder / "tokenizer.json").is_file():
        train_tokenizer(_tokenizer_texts(corpus, options), options.vocab).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer


def _model(tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> LlamaForCausalLM:
    if options.start:
        return finished_model(options.start, PARTS[options.learn])
    shape = Shape(**{field.name: getattr(options, field.name) for field in fields(Shape)})
    return new_model(shape, tokenizer, options.seed)


def _tokenizer_texts(corpus: Corpus, options: argparse.Namespace) -> Iterator[str]:
    for dialogue in dialogues(options.seed, options.tokenizer_dialogues):
        yield from (message["content"] for message in dialogue.messages)
    rng = random.Random(options.seed)
    if corpus.texts:
        yield from (corpus.draw_text(rng) for _ in range(options.tokenizer_dialogues // 2))


def _plan(options: argparse.Namespace) -> Plan:
    begins_at = LATE if options.start else 0.0
    return Plan(
        Budget(options.steps, None if options.steps else options.minutes, begins_at),
        device=options.device,
        pause_after_s=60 * options.pause_minutes,
        peak_rate=options.rate,
        is_bfloat16=_is_bfloat16(options),
        compiles=options.compile,
    )


def _is_bfloat16(options: argparse.Namespace) -> bool:
    """As asked; else as is faster: a CPU without units for bfloat16 is many times slower in it."""
    if options.bfloat16 is not None:
        return bool(options.bfloat16)
    return is_bfloat16_faster(torch.device(options.device))


def _machine(options: argparse.Namespace) -> str:
    if options.device == "cuda":
        return f"one {torch.cuda.get_device_name()}"
    return f"{options.threads} CPU threads"


def _command(options: argparse.Namespace) -> str:
    """The command as a reader would give it, without this machine's folders."""
    length = f"--steps {options.steps}" if options.steps else f"--minutes {options.minutes:g}"
    corpus = "--corpus CORPUS " if options.corpus else ""
    others = "".join(
        f" --{name}{'' if value is True else f' {value}'}"
        for name, value, usual in (
            ("bfloat16", options.bfloat16 or False, False),
            ("from", options.start and "MODEL", None),
            ("learn", options.learn, "all"),
            ("remembering", options.remembering, 0.0),
            ("no-bfloat16", options.bfloat16 is False, False),
            ("compile", options.compile, False),
            ("device", options.device, "cpu"),
            ("shape", options.shape, "small"),
            ("batch-tokens", options.batch_tokens, BATCH_TOKENS),
            ("passes", options.passes, 1),
            ("rate", options.rate, PEAK_RATE),
            ("seed", options.seed, 1),
        )
        if value != usual
    )
    return f"python -m adapters.recipes.base {corpus}--out DIR {length}{others}"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m adapters.recipes.base", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished model")
    parser.add_argument("--run", type=Path, help="folder for tokenizer and checkpoint (default: OUT/run)")
    parser.add_argument("--corpus", type=Path, help="folder with the public texts; left out: own dialogues only")
    parser.add_argument(
        "--from", dest="start", type=Path, help="finished model to go on from, with the last part of a run"
    )
    parser.add_argument("--learn", choices=PARTS, default="all", help="what of a finished model is to learn")
    parser.add_argument("--minutes", type=float, default=60, help="training time")
    parser.add_argument("--steps", type=int, help="train this many steps instead, exactly repeatable")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--remembering", type=float, default=0.0, help="share of dialogues that only remember")
    parser.add_argument("--workers", type=int, default=0, help="processes that write batches ahead")
    parser.add_argument("--pause-minutes", type=float, default=math.inf, help="save and stop then, to be gone on with")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="peak learning rate")
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    parser.add_argument("--passes", type=int, default=1, help="times each batch is learnt from")
    parser.add_argument("--tokenizer-dialogues", type=int, default=12_000, help="dialogues the tokenizer learns from")
    parser.add_argument("--sample-tokens", type=int, default=120, help="longest reply among the samples")
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, help="default: what is faster here")
    parser.add_argument("--compile", action="store_true", help="torch.compile: faster, needs a C++ compiler")
    parser.add_argument("--shape", choices=SHAPES, default="small", help="small for a CPU, medium for a GPU")
    for field in fields(Shape):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, help="instead of the shape's own")
    options = parser.parse_args(arguments)
    if options.learn != "all" and not options.start:
        parser.error("--learn needs --from")
    if options.start and not (options.start / "training.json").is_file():
        parser.error(f"--from {options.start}: no training.json there; expected a model that this command made")
    if options.start and options.start.resolve() == options.out.resolve():
        parser.error("--out has to be another folder than --from")
    for name, value in asdict(SHAPES[options.shape]).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    main()
