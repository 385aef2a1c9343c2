"""`chatbot model`: what a model can do, in figures. Figures go to stdout, talk to stderr."""

import asyncio
import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatbot.cli.configured import adapter_store, fail, settings_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.evaluation.evaluation import Evaluation
    from adapters.evaluation.translation import Pair
    from adapters.store import AdapterFolder

app = typer.Typer(no_args_is_help=True, help="Measure models, with and without personas.")


@app.command("eval")
def evaluate(
    model: Annotated[
        str | None, typer.Argument(help="Model directory or name; by default the one that is served.")
    ] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(help="Also measure with this persona, such as `pirate`; may be repeated.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Questions of each set.")] = 100,
    corpus: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder of texts, for the perplexity on held-out ones."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Chats with reference answers (JSONL, with a `subset`), for BLEU and chrF.",
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; by default one less than the cores.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write everything, replies included, to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Ask a model some two thousand questions: memory, name, instructions, knowledge, honesty; and count what is right.

    Values and, where the table says so, wordings are held out of the bundled model's training.
    """
    from adapters.errors import AdapterNotFound, BadData
    from adapters.evaluation.translation import read_pairs
    from chatbot.engine.base import EngineError
    from chatbot.engine.checkpoint import locate

    settings = settings_with(model=model)
    store = adapter_store(settings)
    if out is not None and not out.absolute().parent.is_dir():
        fail(f"{out.absolute().parent}: no such folder for --out; make it, or name another", 2)
    try:
        personas = [store.resolve(reference) for reference in adapter or ()]
        pairs = read_pairs(test) if test else []
        folder = locate(settings.model_path)
        found = asyncio.run(_evaluation(folder, settings.model_name, personas, count, threads, pairs))
        if corpus is not None:
            found.perplexity = _perplexities(folder, corpus)
    except (AdapterNotFound, BadData) as error:
        fail(str(error), 2)
    except (EngineError, FileNotFoundError) as error:
        fail(str(error))
    _print(found, json)
    if out is not None:
        _write(found, out)


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
