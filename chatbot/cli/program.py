"""The program as a whole: its commands, its options, and how its errors look."""

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from chatbot import __version__
from chatbot.cli import adapter, ask, chat, conversations, db, export, serve
from chatbot.cli import model as models
from chatbot.cli.configured import fail
from chatbot.cli.streams import open_streams

EXIT_CODES = (
    "Exit codes: 0 done; 1 failed, or refused by the server; 2 wrong usage, settings or data, or a file, folder or"
    " model that is not there or in the way; 3 no server to be reached or started; 4 another server has the data;"
    " 130 interrupted."
)
app = typer.Typer(
    name="chatbot",
    epilog=EXIT_CODES,
    help="The chat backend that remembers. Without a command, opens the chat in the terminal; a server is started in"
    " the background if none runs.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("ask")(ask.ask)
app.command("serve")(serve.serve)
adapter.app.command()(export.export)
app.add_typer(adapter.app, name="adapter")
app.add_typer(models.app, name="model")
app.add_typer(conversations.app, name="conversations")
app.add_typer(db.app, name="db")

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@app.callback(invoke_without_command=True)
def program(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(help="Model to chat with: `bundled` (the default), a directory or a Hugging Face name."),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(help="Title of the conversation to open; begun if there is none.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Chat line by line instead of full screen.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Chat in the terminal; a server is started in the background if none runs."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(chat.chat(model=model, conversation=conversation, plain=plain))
    if model or conversation or plain:
        fail(f"--model, --conversation and --plain before {context.invoked_subcommand!r} mean nothing to it", 2)


def main() -> NoReturn:
    """Run the program and exit; interrupting it is no error that needs a traceback."""
    open_streams()
    try:
        app(prog_name="chatbot")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python still has to flush when it ends
        sys.exit(f"chatbot: {error.filename or 'what was printed could not be written'}: {error.strerror}")
    sys.exit(0)
