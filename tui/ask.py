"""One turn on stdin and stdout, for scripts: on stdout there is nothing but the reply; talk goes to stderr.

Exit codes: 0 ok, 1 failed, 3 server unreachable, 130 interrupted.
"""

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TextIO

from chatbot.client import ChatbotError, Client, JsonObject, Reply, ReplyFailed, ServerUnreachable
from tui.safe_text import safe_line, safe_text

OK, FAILED, UNREACHABLE, INTERRUPTED = 0, 1, 3, 130
PATIENCE_S = 10.0
LEAVE_S = 1.0
"""How long whoever interrupts waits for the server to hear of it."""

BYTE_ORDER_MARK = "\ufeff"
"""What some editors begin a file with; it is nothing that anybody says."""

Ensure = Callable[[], Awaitable[str]]


async def ask(
    url: str,
    text: str,
    *,
    conversation: str | None = None,
    model: str | None = None,
    as_json: bool = False,
    ensure: Ensure | None = None,
    api_key: str | None = None,
) -> int:
    """Do one turn; `conversation` is a title, found or made. With `as_json` stdout gets the final response."""

    async def one_turn() -> int:
        async with Client(url, api_key, ensure=ensure, patience_s=PATIENCE_S) as client:
            found = await titled(client, conversation, model) if conversation else None
            reply = await client.send(text, conversation=found["id"] if found else None, model=model)
            return await (_print_json(reply) if as_json else print_text(reply))

    return await guarded(one_turn())


async def titled(client: Client, title: str, model: str | None) -> JsonObject:
    """Return the conversation with this title, made if there is none."""
    found = await client.conversation_titled(title)
    return found or await client.create_conversation(title=title, model=model)


async def print_text(reply: Reply, heading: str = "") -> int:
    """Print a reply as it comes, after `heading`; say on stderr if it did not come to its end."""
    print(heading, end="", flush=True)
    has_begun = bool(heading)
    try:
        async with stopped_if_interrupted(reply):
            async for text in reply.text_stream():
                print(safe_text(text), end="", flush=True)
                has_begun = True
        print(flush=True)
    except ReplyFailed:
        if has_begun:
            print(flush=True)
        raise
    except asyncio.CancelledError:
        print(flush=True)
        raise
    if reply.status != "completed":
        reason = (reply.response.get("incomplete_details") or {}).get("reason") or reply.status
        talk(f"(incomplete: {safe_line(str(reason))})")
    return _exit_code(reply)


@contextlib.asynccontextmanager
async def stopped_if_interrupted(reply: Reply) -> AsyncIterator[None]:
    """Have the server stop a reply too if its reading is interrupted."""
    try:
        yield
    except asyncio.CancelledError:
        with contextlib.suppress(ChatbotError, TimeoutError):  # a server that is lost cannot hear of it
            await asyncio.wait_for(reply.cancel(), LEAVE_S)
        raise


async def _print_json(reply: Reply) -> int:
    """Print the response object as one line; JSON escapes what a terminal should not see."""
    async with stopped_if_interrupted(reply):
        async for _ in reply:
            pass
    print(json.dumps(reply.response))
    return _exit_code(reply)


def _exit_code(reply: Reply) -> int:
    """A reply cut at its length limit is what was asked for; one that was broken off is not."""
    reason = (reply.response.get("incomplete_details") or {}).get("reason")
    return OK if reply.status == "completed" or reason == "max_output_tokens" else FAILED


def readable(stream: TextIO) -> TextIO:
    """Return the stream with U+FFFD where its bytes are no text, instead of an error in the middle."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream


def talk(text: str) -> None:
    print(safe_text(text), file=sys.stderr, flush=True)


async def guarded(work: Awaitable[int]) -> int:
    """Run it; tell what went wrong in one sentence, and by the exit code."""
    try:
        return await work
    except ServerUnreachable as error:
        talk(f"chatbot: {error}; try: chatbot serve")
        return UNREACHABLE
    except ChatbotError as error:
        talk(f"chatbot: {error}")
        return FAILED
    except asyncio.CancelledError:
        return INTERRUPTED
