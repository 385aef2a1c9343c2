"""What the benchmark is asked for, all of it checked while it is read: a slip must not lose what took an hour."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

import torch

from benchmarks.random_weights import BUNDLED, CONTEXT_TOKENS, SHAPES
from benchmarks.workloads.bench import ROOM_TOKENS
from chatbot.engine.base import ModelNotFound
from chatbot.engine.checkpoint import locate, read_context_tokens
from chatbot.engine.machine import cores

DEVICES = ("cpu", "cuda")


def read_options(description: str | None, workloads: Collection[str]) -> argparse.Namespace:
    """Return the options of the command line, with folders for all that is to be written; what cannot be ends it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=description)
    parser.add_argument(
        "--model",
        type=_model,
        nargs="+",
        default=[str(BUNDLED)],
        help=f"folders, or for random weights {', '.join(SHAPES)}",
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", type=_device, default=device, help="cpu or cuda; by default cuda, if any")
    parser.add_argument("--workloads", nargs="+", choices=workloads, default=list(workloads))
    parser.add_argument("--tokens", type=_at_least(2), default=128, help="tokens per reply, at least 2: their times")
    parser.add_argument("--rounds", type=_at_least(3), default=5, help="interleaved rounds per figure, at least 3")
    parser.add_argument("--threads", type=_at_least(1), default=max(1, cores() - 1))
    parser.add_argument("--out", type=_file, help="file for the JSON that is printed")
    parser.add_argument("--markdown", type=_file, help="file for the tables")
    parser.add_argument("--charts", type=_folder, help="folder for bar charts")
    options = parser.parse_args()
    for model in options.model:
        if options.tokens > (room := _room_tokens(model)):
            parser.error(f"argument --tokens: {options.tokens}: expected at most {room}, for which {model} has room")
    return options


def _model(text: str) -> str:
    """Return the name of a shape, or the folder of a model."""
    if text in SHAPES:
        return text
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: expected the folder of a model, or one of {', '.join(SHAPES)}")
    try:
        return str(locate(Path(text)))
    except ModelNotFound as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _room_tokens(model: str) -> int:
    """Return how long a reply can be that a prompt of this benchmark stands before."""
    window = CONTEXT_TOKENS if model in SHAPES else read_context_tokens(Path(model))
    return window - ROOM_TOKENS


def _device(text: str) -> torch.device:
    """Return a device that is here and that is measured."""
    found = text.partition(":")[0]
    if found not in DEVICES:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {' or '.join(DEVICES)}")
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:  # torch's own words, of which the first line says what is missing
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return torch.device(text)


def _at_least(lowest: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if (value := int(text)) < lowest:
            raise argparse.ArgumentTypeError(f"{value}: expected at least {lowest}")
        return value

    return integer


def _file(text: str) -> Path:
    """Return a file whose folder is there from now on."""
    _folder(str(Path(text).parent))
    if Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: expected a file, found a folder")
    return Path(text)


def _folder(text: str) -> Path:
    """Return a folder that is there from now on."""
    try:
        Path(text).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: cannot be made a folder: {error.strerror}") from error
    return Path(text)
