"""`chatbot model`: what a model can do, in figures. Figures go to stdout, talk to stderr."""

import asyncio
import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatbot.cli.configured import adapter_store, fail, settings_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.evaluation.evaluation import Evaluation
    from adapters.evaluation.translation import Pair
    from adapters.store import AdapterFolder
    from chatbot.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Measure models, with and without personas.")


Model = Annotated[str | None, typer.Argument(help="Model directory or name; by default the one that is served.")]
Personas = Annotated[
    list[str] | None, typer.Option(help="Also measure with this persona, such as `pirate`; may be repeated.")
]
Count = Annotated[int, typer.Option(min=1, help="Questions of each set.")]
Corpus = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Folder of texts, for the perplexity on held-out ones."),
]
Test = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="Chats with reference answers (JSONL, with a `subset`), for BLEU and chrF."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads; by default one less than the cores.")]
Out = Annotated[Path | None, typer.Option(help="Also write everything, replies included, to this file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command("eval")
def evaluate(
    model: Model = None,
    adapter: Personas = None,
    count: Count = 100,
    corpus: Corpus = None,
    test: Test = None,
    threads: Threads = None,
    out: Out = None,
    json: AsJson = False,
) -> None:
    """Ask a model some two thousand questions, and count what is right.

    They are about memory, its name, instructions, knowledge and honesty.
    The facts and, where the table says so, the wordings are held out of the bundled model's training.
    """
    from chatbot.logs import configure_logging

    settings = settings_with(model=model, model_from="the model")
    configure_logging("warning")
    _require_place(out)
    if test and not adapter:
        fail("--test is what a persona's replies are compared with; name one by --adapter", 2)
    with _told():
        from adapters.evaluation.translation import read_pairs
        from chatbot.engine.checkpoint import locate

        folder = locate(settings.model_path)
        personas = _personas(adapter, settings, folder) if adapter else []
        pairs = read_pairs(test) if test else []
        perplexity = _perplexities(folder, corpus) if corpus else {}
        found = asyncio.run(_evaluation(folder, settings.model_name, personas, count, threads, pairs))
    found.perplexity = perplexity
    _print(found, json)
    if out is not None:
        _write(found, out)


def _personas(references: list[str], settings: "Settings", base: Path) -> "list[AdapterFolder]":
    """Return the versions that fit this base. Raises AdapterNotFound."""
    from chatbot.engine.digest import model_digest

    store, digest = adapter_store(settings), model_digest(base)
    return [store.resolve(reference, base_digest=digest) for reference in references]


def _require_place(out: Path | None) -> None:
    """Refuse at once where nothing could be written after all the questions."""
    if out is None:
        return
    if not out.absolute().parent.is_dir():
        fail(f"{out.absolute().parent}: no such folder for --out; make it, or name another", 2)
    if out.is_dir():
        fail(f"{out}: expected a file for --out, but this is a folder; name a file in it", 2)


@contextmanager
def _told() -> Iterator[None]:
    """End the program with a sentence for what cannot be measured."""
    from adapters.errors import AdapterError
    from chatbot.engine.base import EngineError, ModelNotFound

    try:
        yield
    except (AdapterError, FileNotFoundError, ModelNotFound) as error:
        fail(str(error), 2)
    except EngineError as error:
        fail(str(error))


async def _evaluation(
    folder: Path,
    name: str,
    personas: "list[AdapterFolder]",
    count: int,
    threads: int | None,
    pairs: "Sequence[Pair]",
) -> "Evaluation":
    from adapters.evaluation.evaluation import evaluate as ask_everything
    from chatbot.engine.local import LocalEngine

    engine = LocalEngine(folder, name=name, threads=threads)
    await engine.start()
    try:
        return await ask_everything(engine, personas, count, lambda line: typer.echo(line, err=True), pairs)
    finally:
        await engine.stop()


def _perplexities(folder: Path, corpus: Path) -> dict[str, float]:
    from adapters.evaluation.perplexity import perplexities

    return perplexities(folder, corpus)


def _print(found: "Evaluation", json: bool) -> None:
    from adapters.evaluation.report import report

    typer.echo(json_text.dumps(found.as_dict(), ensure_ascii=False) if json else report(found))


def _write(found: "Evaluation", out: Path) -> None:
    try:
        out.write_text(json_text.dumps(found.as_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        fail(f"{out}: not written: {error.strerror or error}")
