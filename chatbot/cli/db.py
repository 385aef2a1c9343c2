"""`chatbot db`: the file that holds the conversations, checked, copied and put back."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from chatbot.cli.configured import fail, settings_with

app = typer.Typer(no_args_is_help=True, help="Check, copy and restore the database of conversations.")


@app.command()
def check() -> None:
    """Look for damage in the database, also while a server runs; exits with 1 if there is any."""
    database = _existing(settings_with().database_path)
    with _told(database):
        _require_sound(database)
    typer.echo(f"{database}: sound")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="File to write; must not exist.")]) -> None:
    """Copy the database as it is now, also while a server runs; only the owner can read the copy."""
    database = _existing(settings_with().database_path)
    if file.exists():
        fail(f"{file}: expected a file that does not exist yet; choose another name")
    with _told(database):
        from storage.copies import write_copy

        write_copy(database, file.absolute())
    typer.echo(str(file))


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A copy that `chatbot db backup` made.")]) -> None:
    """Put a copy in the place of the database, which is kept beside it. Stop the server first."""
    copy, database = _existing(file.absolute()), settings_with().database_path.absolute()
    with _told(copy):
        from storage.copies import put_in_place
        from storage.upgrade import require_ours

        require_ours(copy)
        _require_sound(copy)
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = put_in_place(copy, database)
    typer.echo(f"{database}: restored" + (f"; what it was is in {kept}" if kept else ""))


def _existing(path: Path) -> Path:
    if not path.is_file():
        fail(f"{path}: expected a database, but there is no such file")
    return path.absolute()


def _require_sound(database: Path) -> None:
    from storage.integrity import problems_in

    if problems := problems_in(database):
        advice = f"put a copy back with `chatbot db restore FILE`, or save what is left: sqlite3 {database} .recover"
        fail(f"{database}: the database is damaged ({problems[0]}); {advice}")


@contextmanager
def _told(database: Path) -> Iterator[None]:
    """End the program with a sentence for whatever storage or disk have to say."""
    from storage.errors import StorageError
    from storage.sqlite_errors import translate

    try:
        yield
    except (StorageError, OSError) as error:
        fail(str(error))
    except sqlite3.Error as error:
        fail(f"{database}: {translate(error)}")
