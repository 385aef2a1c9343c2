"""`chatbot ask`: one turn for scripts."""

import asyncio
import sys
from typing import Annotated

import typer

from chatbot.cli.configured import fail, personas_like, require_title, settings_with, tell_start


def ask(
    text: Annotated[str | None, typer.Argument(help="What to say; read from stdin when left out or `-`.")] = None,
    conversation: Annotated[
        str | None, typer.Option(help="Title of the conversation to continue; begun if there is none.")
    ] = None,
    persona: Annotated[
        str | None,
        typer.Option(
            autocompletion=personas_like,
            help="Persona that answers, such as `pirate`; by default the one of the conversation, if it has one.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the response as one JSON object.")] = False,
) -> None:
    """Say one thing and print the reply."""
    settings = settings_with()
    from tui.ask import BYTE_ORDER_MARK, readable

    require_title(conversation)
    said = readable(sys.stdin).read().removeprefix(BYTE_ORDER_MARK) if text in (None, "-") else text
    if not said or not said.strip():
        fail("nothing to say: give a text, or pipe one in", 2)
    from chatbot.server.launch import ServerDidNotStart, ensure_server
    from tui.ask import ask as ask_once
    from tui.commands import trimmed

    async def turn() -> int:
        url = await ensure_server(settings, tell_start)
        return await ask_once(
            url,
            trimmed(said),
            conversation=conversation,
            model=persona,
            as_json=json,
            api_key=settings.api_key,
        )

    try:
        raise typer.Exit(asyncio.run(turn()))
    except ServerDidNotStart as error:
        fail(str(error), 3)
