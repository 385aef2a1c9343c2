"""`chatbot` alone: the terminal client, full screen on a terminal and line by line elsewhere."""

import asyncio
import os
import sys

from chatbot.cli.configured import fail, require_title, settings_with, tell_start


def chat(*, model: str | None, conversation: str | None, plain: bool) -> int:
    """Open the chat and return its exit code."""
    require_title(conversation)
    settings = settings_with(model=model)
    from chatbot.server.launch import ServerDidNotStart, ensure_server

    async def ensure() -> str:
        return await ensure_server(settings)

    if not plain and _has_screen():
        from tui.app import run

        return run(None, ensure=ensure, api_key=settings.api_key, conversation=conversation)
    from tui.plain import run_plain

    try:
        url = asyncio.run(ensure_server(settings, tell_start))
    except ServerDidNotStart as error:
        fail(str(error), 3)
    return asyncio.run(run_plain(url, ensure=ensure, api_key=settings.api_key, conversation=conversation))


def _has_screen() -> bool:
    """Whether there is a terminal that can be drawn on; a dumb one, such as a shell in an editor, shows every code."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
