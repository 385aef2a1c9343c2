"""The recipe as a command: from a folder of texts (or none) to the bundled model."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from adapters.recipes.base.card import card
from adapters.recipes.base.checkpoint import OtherRun, RunState
from adapters.recipes.base.corpus import Corpus
from adapters.recipes.base.documents import Encoder
from adapters.recipes.base.freed_memory import keep_freed_memory
from adapters.recipes.base.mixture import Mixture
from adapters.recipes.base.model import finished_model, new_model, parameter_count, save_model, shape_of
from adapters.recipes.base.options import PARTS, asked_shape, command_of, decisive, read_options
from adapters.recipes.base.prefetch import prefetched
from adapters.recipes.base.progress import LATE, Budget
from adapters.recipes.base.repeated import Repeated
from adapters.recipes.base.samples import all_samples
from adapters.recipes.base.throughput import is_bfloat16_faster
from adapters.recipes.base.tokenizer import train_tokenizer
from adapters.recipes.base.train import Plan, train
from adapters.recipes.dialogues import dialogues


def main(arguments: list[str] | None = None) -> None:
    """Train and save; a run killed in between goes on where it was when the command is given again."""
    options = read_options(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    corpus = Corpus.read(options.corpus)
    tokenizer = _tokenizer(_run(options) / "tokenizer", corpus, options)
    model = _model(tokenizer, options)
    print(f"{parameter_count(model):,} parameters", flush=True)
    plan = _plan(options, corpus)
    try:
        state = _trained(model, tokenizer, corpus, plan, options)
    except OtherRun as error:
        sys.exit(str(error))
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
        "command": command_of(options),
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
        train_tokenizer(_tokenizer_texts(corpus, options), asked_shape(options).vocab).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer


def _model(tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> LlamaForCausalLM:
    if options.start:
        return finished_model(options.start, PARTS[options.learn])
    return new_model(asked_shape(options), tokenizer, options.seed)


def _tokenizer_texts(corpus: Corpus, options: argparse.Namespace) -> Iterator[str]:
    for dialogue in dialogues(options.seed, options.tokenizer_dialogues):
        yield from (message["content"] for message in dialogue.messages)
    rng = random.Random(options.seed)
    if corpus.texts:
        yield from (corpus.draw_text(rng) for _ in range(options.tokenizer_dialogues // 2))


def _plan(options: argparse.Namespace, corpus: Corpus) -> Plan:
    begins_at = LATE if options.start else 0.0
    return Plan(
        Budget(options.steps, None if options.steps else options.minutes, begins_at),
        device=options.device,
        pause_after_s=60 * options.pause_minutes,
        peak_rate=options.rate,
        is_bfloat16=_is_bfloat16(options),
        compiles=options.compile,
        asked=decisive(options) | {"corpus": corpus.sizes()},
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


if __name__ == "__main__":
    main()
