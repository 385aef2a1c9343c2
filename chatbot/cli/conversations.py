"""`chatbot conversations`: taken out of the server as lines of JSON, and brought in again."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from chatbot.cli.configured import fail, settings_with, tell_start

if TYPE_CHECKING:
    from chatbot.client import Client, JsonObject

STDIO = "-"
PIECE_BYTES = 256 * 1024
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
"""How files of gzip, xz, bzip2, Zstandard and ZIP begin."""

app = typer.Typer(no_args_is_help=True, help="Export conversations as lines of JSON, and import them.")


@app.command("export")
def export_lines(
    file: Annotated[str, typer.Argument(help="File to write, which must not exist; `-` is stdout.")],
    conversation: Annotated[
        str | None, typer.Option(help="Title of the one conversation to export; by default all.")
    ] = None,
) -> None:
    """Write conversations as lines of JSON. Each is whole, for `import` and for `chatbot adapter train`."""
    if file != STDIO and os.path.lexists(file):
        fail(f"{file}: expected a file that does not exist yet; choose another name", 2)
    if not (folder := Path(file).parent).is_dir():
        fail(f"{folder}: no such folder; make it, or name another", 2)

    async def export(client: "Client") -> int:
        name = None if conversation is None else await _titled(client, conversation)
        longest_bytes = line_bytes = 0
        with _written(file) as out:
            async for piece in client.export(name):
                out.write(piece)
                *ended, rest = map(len, piece.split(b"\n"))
                if ended:
                    longest_bytes, line_bytes = max(longest_bytes, line_bytes + ended[0], *ended), 0
                line_bytes += rest
        _warn_of_length(file, longest_bytes)
        return 0

    _with_client(export)


@app.command("import")
def import_lines(
    file: Annotated[
        str, typer.Argument(help='Lines that `export` wrote, or that are {"messages": […]}; `-` is stdin.')
    ],
) -> None:
    """Store the conversations of a file. Those that are there already stay as they are."""
    with _readable(file) as source:
        begin = _text(file, source.read(PIECE_BYTES))  # before a server is started in vain

        async def bring_in(client: "Client") -> int:
            return _tell(file, await client.import_lines(_pieces(begin, source)))

        _with_client(bring_in)


def _warn_of_length(file: str, line_bytes: int) -> None:
    from chatbot.server.lines import MAX_LINE_BYTES
    from tui.ask import talk

    if line_bytes > MAX_LINE_BYTES:
        largest = f"`import` takes lines of up to {MAX_LINE_BYTES} bytes, and one has {line_bytes}"
        talk(f"{file}: {largest}; keep that conversation by `chatbot db backup` too")


async def _titled(client: "Client", title: str) -> str:
    found = await client.conversation_titled(title)
    if found is None:
        fail(f"there is no conversation with the title {title!r}")
    return str(found["id"])


@contextmanager
def _written(file: str) -> Iterator[BinaryIO]:
    """Give a file to write, which only its owner can read and which is not left behind half written."""
    if file == STDIO:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        fail(f"{file}: cannot be written: {error.strerror}")
    try:
        with open(descriptor, "wb") as out:
            yield out
    except BaseException as error:
        Path(file).unlink(missing_ok=True)
        if isinstance(error, OSError):
            fail(f"{file}: cannot be written: {error.strerror or error}")
        raise


@contextmanager
def _readable(file: str) -> Iterator[BinaryIO]:
    if file == STDIO:
        yield sys.stdin.buffer
        return
    try:
        source = open(file, "rb")  # noqa: SIM115
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror}", 2)
    with source:
        yield source


def _text(file: str, begin: bytes) -> bytes:
    """Return how a file begins, unless something would be wrong with every line."""
    if begin.startswith(UTF_16) or b"\0" in begin[:2]:
        fail(f"{file}: expected UTF-8, but this is UTF-16; save it as UTF-8", 2)
    if begin.startswith(COMPRESSED):
        fail(f"{file}: expected lines of JSON, but this is compressed; unpack it first", 2)
    return begin


async def _pieces(begin: bytes, source: BinaryIO) -> AsyncIterator[bytes]:
    yield begin
    while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
        yield piece


def _tell(file: str, report: "JsonObject") -> int:
    """Say what came of an import, line by line where something was wrong, and return the exit code."""
    from tui.ask import talk

    for error in report["errors"]:
        talk(f"{file}:{error['line']}: {error['message']}")
    if untold := report["wrong"] - len(report["errors"]):
        talk(f"{file}: {untold} more lines are wrong")
    typer.echo(f"{report['imported']} imported, {report['known']} already there, {report['wrong']} wrong")
    return 1 if report["wrong"] else 0


def _with_client(work: "Callable[[Client], Awaitable[int]]") -> None:
    """Do it with the server of this user, started if none runs, and exit with its code."""
    settings = settings_with()
    from chatbot.client import Client
    from chatbot.server.launch import ServerDidNotStart, ensure_server
    from tui.ask import guarded

    async def connected() -> int:
        async with Client(await ensure_server(settings, tell_start), settings.api_key) as client:
            return await work(client)

    try:
        raise typer.Exit(asyncio.run(guarded(connected())))
    except ServerDidNotStart as error:
        fail(str(error), 3)
