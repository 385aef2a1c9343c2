"""`export`: a persona as a model of its own, for programs other than this one."""

import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chatbot.cli.configured import adapter_store, fail, personas_like, settings_with, tell


class Form(StrEnum):
    """What to write."""

    MERGED = "merged"
    GGUF = "gguf"


def export(
    reference: Annotated[
        str,
        typer.Argument(autocompletion=personas_like, help="A persona such as `pirate`, or `base` for the plain model."),
    ],
    out: Annotated[Path, typer.Argument(help="Folder (merged) or file (gguf) to write; must not exist.")],
    to: Annotated[Form, typer.Option(help="A transformers folder, or one file for llama.cpp and Ollama.")],
    base: Annotated[str | None, typer.Option(help="Model it is for; by default the one that is served.")] = None,
) -> None:
    """Write a persona as a model of its own, for other programs.

    Its adapter is added to the weights of its base.
    """
    from safetensors import SafetensorError

    from adapters.errors import AdapterError
    from chatbot.engine.base import ModelNotFound
    from chatbot.engine.checkpoint import locate
    from chatbot.engine.digest import model_digest

    settings, system = settings_with(model=base, model_from="--base"), None
    if out.exists():
        fail(f"{out} exists already; name one that does not", 2)
    if not out.parent.is_dir():
        fail(f"{out.parent}: no such folder; make it, or name another", 2)
    try:
        folder = locate(settings.model_path)
        if reference == "base":
            _write(folder, None, out, to, settings.model_name)
        else:
            adapter = adapter_store(settings).resolve(reference, base_digest=model_digest(folder))
            system = adapter.system
            _write(folder, adapter.path, out, to, adapter.name)
    except (AdapterError, ModelNotFound) as error:
        fail(str(error), 2)
    except (OSError, SafetensorError) as error:  # the latter for a disk without room, too
        fail(f"{out} was not written: {getattr(error, 'strerror', None) or error}")
    typer.echo(str(out))
    if system:
        tell(f"to be given with it, for it was learned with this system prompt: {system}")


def _write(folder: Path, adapter: Path | None, out: Path, to: Form, name: str) -> None:
    """Have the model in `out`, whole or not at all."""
    from adapters.gguf_file import STORED, write_gguf
    from adapters.merged import merge
    from adapters.quiet import quiet_libraries

    if to is Form.MERGED and adapter is None:
        fail(f"the plain base is a transformers folder already: {folder}", 2)
    with quiet_libraries(), tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        if adapter is not None:
            merged = Path(scratch) / "merged"
            difference = merge(folder, adapter, merged, STORED if to is Form.GGUF else None)
            typer.echo(f"logits differ from base plus adapter by {difference:.2g} standard deviations", err=True)
            folder = merged
        if to is Form.GGUF:
            write_gguf(folder, Path(scratch) / "gguf", name)
        os.rename(Path(scratch) / to, out)
