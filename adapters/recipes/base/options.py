"""What the recipe's command takes, and how a run tells its own command."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from adapters.recipes.base.model import SHAPES, Shape
from adapters.recipes.base.train import PEAK_RATE
from chatbot.engine.digest import model_digest

BATCH_TOKENS = 8192
PARTS = {"all": "", "attention": "self_attn"}
"""What may be learnt, each with what the names of its parameters have in common."""
PROGRAM = "python -m adapters.recipes.base"
_ABOUT = "From a folder of texts (or none) to the bundled model."
_SIZES = tuple(field.name for field in fields(Shape))
_NEW = ("shape", "tokenizer_dialogues", *_SIZES)
"""What only a new model is asked for: with --from all of it is the model's."""
_DECISIVE = ("learn", "steps", "minutes", "seed", "device", "remembering", "rate", "batch_tokens", "passes", "bfloat16")
"""What the weights depend on, besides the shape, the corpus and the model that is gone on from."""
_ABOVE_ZERO = ("minutes", "steps", "pause_minutes", "rate")
_LEAST = {
    **{"threads": 1, "workers": 0, "passes": 1, "tokenizer_dialogues": 1, "sample_tokens": 1},
    **{"batch_tokens": 256},  # a row of the language stage, in which nearly every short dialogue has room
    **dict.fromkeys(_SIZES, 1),
}
DEVICES = ("cpu", "cuda")


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The options that were given; ends with an error where they do not fit together."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_numbers(options, parser)
    _check_device(options, parser)
    if options.corpus and not options.corpus.is_dir():
        parser.error(f"--corpus {options.corpus}: no such folder")
    if options.learn != "all" and not options.start:
        parser.error("--learn needs --from")
    if options.start:
        _check_start(options, parser)
    else:
        _check_heads(asked_shape(options), parser)
    _make_folder(options, parser)
    return options


def asked_shape(options: argparse.Namespace) -> Shape:
    """The shape of this name, with what was given instead of its own."""
    given = {name: getattr(options, name) for name in _SIZES if getattr(options, name) is not None}
    return replace(SHAPES[options.shape or "small"], **given)


def decisive(options: argparse.Namespace) -> dict[str, Any]:
    """What decides the weights that a run ends with, as JSON has it, but for the corpus; folders by what they hold."""
    asked = {name: getattr(options, name) for name in _DECISIVE}
    if options.steps:
        del asked["minutes"]
    if options.start:
        return asked | {"from": model_digest(options.start)}
    return asked | asdict(asked_shape(options)) | {"tokenizer_dialogues": options.tokenizer_dialogues}


def command_of(options: argparse.Namespace) -> str:
    """The command as a reader would give it, without this machine's folders and what is as it always is."""
    given = (
        _flag(action, getattr(options, action.dest))
        for action in _parser()._actions
        if getattr(options, action.dest, action.default) != action.default
    )
    return " ".join([PROGRAM, *given])


def _flag(action: argparse.Action, value: Any) -> str:
    names = action.option_strings
    if isinstance(value, bool):
        return names[0] if value else names[-1]
    return f"{names[0]} {action.metavar if isinstance(value, Path) else str(value).removesuffix('.0')}"


def _check_numbers(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    for name, value in vars(options).items():
        flag = f"--{name.replace('_', '-')} {value}"
        if value is not None and name in _ABOVE_ZERO and not value > 0:
            parser.error(f"{flag}: expected more than 0")
        if value is not None and name in _LEAST and value < _LEAST[name]:
            parser.error(f"{flag}: expected at least {_LEAST[name]}")
    if not 0 <= options.remembering <= 1:
        parser.error(f"--remembering {options.remembering}: expected a share, from 0 to 1")


def _check_device(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if options.device not in DEVICES:
        parser.error(f"--device {options.device}: expected {' or '.join(DEVICES)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no CUDA device here; expected cpu")


def _check_heads(shape: Shape, parser: argparse.ArgumentParser) -> None:
    """End with an error unless attention can be computed: heads have as many pairs each, key heads as many heads."""
    if shape.hidden % (2 * shape.heads):
        parser.error(f"--hidden {shape.hidden}: expected a multiple of twice --heads {shape.heads}")
    if shape.heads % shape.kv_heads:
        parser.error(f"--heads {shape.heads}: expected a multiple of --kv-heads {shape.kv_heads}")


def _make_folder(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Make the folder for the model, now and not after hours."""
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {options.out}: cannot be made a folder: {error.strerror}")


def _check_start(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with an error unless the model can be gone on from with these options."""
    if given := [name for name in _NEW if getattr(options, name) != parser.get_default(name)]:
        parser.error(f"--{given[0].replace('_', '-')} is for a new model; with --from it is the model's own")
    if not (options.start / "training.json").is_file():
        parser.error(f"--from {options.start}: no training.json there; expected a model that this command made")
    if options.start.resolve() == options.out.resolve():
        parser.error("--out has to be another folder than --from")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=_ABOUT)
    parser.add_argument(
        "--corpus", type=Path, metavar="CORPUS", help="folder with the public texts; left out: own dialogues only"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for the finished model")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", help="folder for tokenizer and checkpoint (default: DIR/run)"
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="MODEL",
        help="finished model to go on from, with the last part of a run",
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
    parser.add_argument("--shape", choices=SHAPES, help="small for a CPU (default), medium for a GPU")
    for name in _SIZES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="instead of the shape's own")
    return parser
