"""`chatbot adapter check`: whether example chats can be trained on, and what is in them. Needs no model."""

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatbot.cli.configured import fail, tell

if TYPE_CHECKING:
    from adapters.errors import Problem
    from adapters.statistics import Statistics
    from adapters.validate import ChatData

STDIN = Path("-")
DataFiles = Annotated[
    list[Path],
    typer.Argument(
        help="Files with example chats: JSONL, JSON or CSV, compressed (gzip, xz) or not; `-` is standard input.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def check(data: DataFiles, json: AsJson = False) -> None:
    """Check example chats and count what is in them. Needs no model."""
    from adapters.statistics import count

    statistics = count(checked(data, json=json))
    if json:
        typer.echo(json_text.dumps(statistics.as_dict(), ensure_ascii=False))
    else:
        _print_statistics(statistics)
    tell_warnings(statistics)


def checked(data: list[Path], *, json: bool = False) -> "ChatData":
    """Return the chats in these files, `-` being standard input; exit 2 with the problems if they have any.

    The first few of each kind are told; `json` prints all.
    """
    from adapters.counted import counted
    from adapters.errors import BadData
    from adapters.progress import Reporter
    from adapters.validate import read_data

    try:
        with Reporter().counting("reading") as on_row:
            return read_data([Path("/dev/stdin") if path == STDIN else path for path in data], on_row)
    except BadData as error:
        if json:
            typer.echo(json_text.dumps({"problems": [_as_dict(each) for each in error.problems]}, ensure_ascii=False))
        fail("\n".join([*error.lines(), f"{counted(len(error.problems), 'problem')}; nothing was done"]), 2)


def _as_dict(problem: "Problem") -> dict[str, str | int]:
    return {"file": str(problem.file), "line": problem.line, "problem": problem.text}


def tell_warnings(statistics: "Statistics") -> None:
    """Say on stderr what is doubtful about the data."""
    for warning in statistics.warnings:
        tell(f"note: {warning}")


def _print_statistics(statistics: "Statistics") -> None:
    typer.echo(f"rows               {statistics.rows} ({', '.join(f'{n} {s}' for s, n in statistics.shapes.items())})")
    typer.echo(f"duplicates         {statistics.duplicates} dropped")
    typer.echo(f"turns              {statistics.user_turns} user, {statistics.assistant_turns} assistant")
    typer.echo(f"multi-turn rows    {statistics.multi_turn_rows}")
    typer.echo(f"characters learned {statistics.assistant_characters}")
    typer.echo(f"distinct words     {statistics.distinct_words}")
    typer.echo(f"system messages    {statistics.distinct_systems} ({statistics.rows_without_system} rows without)")
    typer.echo("openings           " + ", ".join(f"{word} {share:.0%}" for word, share in statistics.openings))
