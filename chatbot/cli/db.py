"""`chatbot db`: the file that holds the conversations, checked, copied and put back."""

import os
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
    """Look for damage in the database, also while a server runs. Exits with 1 if there is any."""
    database = _existing(settings_with().database_path)
    with _told(database):
        from storage.upgrade import require_ours

        require_ours(database)
        _require_sound(database)
        _require_letters(database)
    typer.echo(f"{database}: sound")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="File to write; must not exist.")]) -> None:
    """Copy the database as it is now, also while a server runs. Only the owner can read the copy."""
    database = _existing(settings_with().database_path)
    _require_new(file)
    with _told(database, file):
        from storage.copies import write_copy
        from storage.upgrade import require_ours

        require_ours(database)
        write_copy(database, file.absolute())
    typer.echo(str(file))


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A copy that `chatbot db backup` made.")]) -> None:
    """Put a copy in the place of the database, which is kept beside it. Stop the server first."""
    copy, database = _existing(file.absolute(), 2), settings_with().database_path.absolute()
    _require_copy(copy)
    with _told(database, database):
        from storage.copies import put_in_place

        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = put_in_place(copy, database)
    typer.echo(f"{database}: restored" + (f"; what it was is in {kept}" if kept else ""))


def _existing(path: Path, code: int = 1) -> Path:
    why_not = None
    try:
        if not path.is_file():
            why_not = "this is no file" if path.exists() else "there is no such file"
    except OSError as error:  # a folder above it that may not be entered
        why_not = error.strerror
    if why_not:
        fail(f"{path}: expected a database, but {why_not}", code)
    return path.absolute()


def _require_new(file: Path) -> None:
    if file == Path("-"):
        fail("-: expected a file; a copy cannot go to stdout", 2)
    from storage.copies import partial_of

    if os.path.lexists(file):
        fail(f"{file}: expected a file that does not exist yet; choose another name", 2)
    if os.path.lexists(partial := partial_of(file)):
        fail(f"{partial}: expected no such file yet, for the copy is written there first; move it away", 2)
    if not file.parent.is_dir():
        fail(f"{file.parent}: no such folder; make it, or name another", 2)


def _require_copy(file: Path) -> None:
    with _told(file, code=2):
        from storage.upgrade import require_ours

        require_ours(file)
        _require_sound(file, 2)


def _require_sound(database: Path, code: int = 1) -> None:
    from storage.integrity import problems_in

    if problems := problems_in(database):
        advice = f"put a copy back with `chatbot db restore FILE`, or save what is left: sqlite3 {database} .recover"
        fail(f"{database}: the database is damaged ({problems[0]}); {advice}", code)


def _require_letters(database: Path) -> None:
    from storage.integrity import garbled_in

    if garbled := garbled_in(database):
        found = (
            f"{len(garbled)} with other bytes ({', '.join(garbled[:3])}), which are shown as \N{REPLACEMENT CHARACTER}"
        )
        fail(f"{database}: expected messages in UTF-8, but found {found}; all else is sound")


@contextmanager
def _told(database: Path, written: Path | None = None, code: int = 1) -> Iterator[None]:
    """End the program with a sentence for whatever storage or disk have to say; a full disk is that of `written`."""
    from chatbot.server.launch import ALREADY_SERVED
    from storage.errors import StorageError, StorageLocked
    from storage.sqlite_errors import result_code, translate

    try:
        yield
    except StorageLocked as error:
        fail(f"{error}\none in the background ends by itself a minute after its last client", ALREADY_SERVED)
    except StorageError as error:
        fail(str(error), code)
    except OSError as error:
        fail(f"{error.filename or written or database}: {error.strerror or error}", code)
    except UnicodeEncodeError:
        fail(f"{written or database}: expected a name in UTF-8, the only one that SQLite takes; choose another name", 2)
    except sqlite3.Error as error:
        if written and result_code(error) == sqlite3.SQLITE_FULL:
            fail(f"{written}: the disk is full; free some space and run it again", code)
        fail(f"{database}: {translate(error)}", code)
