"""The same chats line by line: for pipes, scripts and screen readers. Nothing is redrawn, nothing is decorated.

On stdout there is nothing but replies when it is a pipe; talk goes to stderr. Exit codes: 0 ok, 1 failed,
3 server unreachable, 130 interrupted.
"""

import asyncio
import contextlib
import io
import json
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TextIO

from chatbot.client import (
    ChatbotError,
    Client,
    JsonObject,
    Reply,
    ReplyFailed,
    RequestRejected,
    ServerUnreachable,
)
from tui.commands import COMMANDS, Command, UnknownCommand, message_of, parse
from tui.export import export
from tui.safe_text import safe_line, safe_text

OK, FAILED, UNREACHABLE, INTERRUPTED = 0, 1, 3, 130
PATIENCE_S = 10.0

Ensure = Callable[[], Awaitable[str]]


async def run_plain(
    url: str,
    *,
    ensure: Ensure | None = None,
    api_key: str | None = None,
    conversation: str | None = None,
    model: str | None = None,
) -> int:
    """Chat on stdin and stdout, one turn a line, until the input ends; return the exit code."""

    async def chat() -> int:
        async with Client(url, api_key, ensure=ensure, patience_s=PATIENCE_S) as client:
            plain = PlainChat(client, model)
            if conversation:
                await plain.open_titled(conversation)
            return await plain.run()

    return await _guarded(chat())


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
            return await (_print_json(reply) if as_json else _print_text(reply))

    return await _guarded(one_turn())


async def titled(client: Client, title: str, model: str | None) -> JsonObject:
    """Return the conversation with this title, made if there is none."""
    found = await client.conversation_titled(title)
    return found or await client.create_conversation(title=title, model=model)


class PlainChat:
    """One conversation at a time, and the commands that make sense without a screen."""

    def __init__(self, client: Client, model: str | None) -> None:
        self._client = client
        self._model = model
        self._conversation: JsonObject | None = None
        self._is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._is_over = False
        self._reply: Reply | None = None
        self._stopping: asyncio.Future[None] | None = None
        self._exit_code = OK

    async def open_titled(self, title: str) -> None:
        self._conversation = await titled(self._client, title, self._model)

    async def run(self) -> int:
        """Read lines until the input or the user ends it; the code tells whether the last turn went well."""
        lines = _stdin_lines()
        self._catch_interrupt()
        while not self._is_over:
            line = await self._next(lines)
            if line is None:
                break
            if line.strip():
                self._exit_code = await self._take(line.strip())
        return self._exit_code

    async def _next(self, lines: "asyncio.Queue[str | None]") -> str | None:
        """Prompt and wait for a line; the shell's own prompt shall not stand behind ours."""
        if not self._is_terminal:
            return await lines.get()
        print("You: ", end="", flush=True)
        line = None
        try:
            line = await lines.get()
        finally:
            if line is None:
                print()
        return line

    def _catch_interrupt(self) -> None:
        """^C stops the reply that is being written; at the prompt it leaves."""
        task = asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            if self._reply and not self._reply.is_finished:
                self._stopping = asyncio.ensure_future(self._reply.cancel())
            else:
                task.cancel()

        with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, or not in the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)

    async def _take(self, line: str) -> int:
        try:
            command = parse(line)
            if command is None:
                return await self._say(message_of(line))
            return await self._run(*command)
        except (UnknownCommand, RequestRejected, ReplyFailed) as error:
            _talk(str(error))
            return FAILED

    async def _say(self, text: str) -> int:
        if self._conversation is None:
            self._conversation = await self._client.create_conversation(model=self._model)
        return await self._print(
            await self._client.send(text, conversation=self._conversation["id"], model=self._model)
        )

    async def _print(self, reply: Reply) -> int:
        self._reply = reply
        if self._is_terminal:
            print(f"{safe_line(str(reply.response.get('model') or 'Assistant')).capitalize()}: ", end="")
        return await _print_text(reply)

    async def _run(self, command: Command, argument: str) -> int:
        if not command.is_plain:
            _talk(f"/{command.name} needs the full screen")
            return FAILED
        return await getattr(self, f"command_{command.name}")(argument) or OK

    async def command_new(self, _: str) -> None:
        self._conversation = None
        _talk("New conversation.")

    async def command_open(self, title: str) -> None:
        found = await self._client.conversation_titled(title)
        if found:
            self._conversation, self._model = found, None  # it has a persona of its own
        _talk(f"Now in “{title}”." if found else f"No conversation is called “{title}”; /list shows them.")

    async def command_search(self, words: str) -> None:
        for conversation in (await self._client.conversations(search=words)).data:
            _talk(safe_line(conversation.get("title") or "(no title)"))

    async def command_rename(self, title: str) -> None:
        if self._conversation and title:
            self._conversation = await self._client.rename(self._conversation["id"], title)
            _talk(f"Now called “{title}”.")
        else:
            _talk("Usage: /rename TITLE, once something was said.")

    async def command_delete(self, _: str) -> None:
        if self._conversation:
            await self._client.delete_conversation(self._conversation["id"])
            self._conversation = None
            _talk("Deleted. The next line starts a new conversation.")

    async def command_retry(self, _: str) -> int:
        return await self._answer_anew(None)

    async def command_edit(self, text: str) -> int:
        if text:
            return await self._answer_anew(text)
        _talk("Usage: /edit TEXT, to be answered in the place of your last message.")
        return FAILED

    async def _answer_anew(self, text: str | None) -> int:
        if self._conversation:
            return await self._print(
                await self._client.retry(text, conversation=self._conversation["id"], model=self._model)
            )
        _talk("There is no message to answer anew.")
        return FAILED

    async def command_export(self, file: str) -> int:
        if self._conversation is None:
            _talk("There is nothing to export yet.")
            return FAILED
        chat = await self._client.conversation(self._conversation["id"])
        speaker = safe_line(self._model or chat.get("model") or "Assistant").capitalize()
        try:
            path = await export(self._client, chat["id"], safe_line(chat.get("title") or ""), speaker, file)
        except OSError as error:
            _talk(f"Nothing was written: {error}")
            return FAILED
        _talk(f"Written to {path}")
        return OK

    async def command_persona(self, name: str) -> None:
        models = await self._client.models()
        if name and name in [model["id"] for model in models]:
            self._model = name
            if self._conversation:
                await self._client.set_model(self._conversation["id"], name)
            _talk(f"{name} answers from now on.")
        else:
            _talk("Personas: " + ", ".join(safe_line(model["id"]) for model in models))

    async def command_list(self, _: str) -> None:
        await self.command_search("")

    async def command_help(self, _: str) -> None:
        for command in COMMANDS:
            if command.is_plain:
                _talk(f"{command.usage:<18} {command.help}")

    async def command_quit(self, _: str) -> None:
        self._is_over = True


async def _print_text(reply: Reply) -> int:
    """Print a reply as it comes; say on stderr if it did not come to its end."""
    try:
        async for text in reply.text_stream():
            print(safe_text(text), end="", flush=True)
        print(flush=True)
    except ReplyFailed:
        print(flush=True)
        raise
    except asyncio.CancelledError:
        print(flush=True)
        await asyncio.shield(reply.cancel())
        raise
    if reply.status != "completed":
        reason = (reply.response.get("incomplete_details") or {}).get("reason") or reply.status
        _talk(f"(incomplete: {safe_line(str(reason))})")
    return _exit_code(reply)


async def _print_json(reply: Reply) -> int:
    """Print the response object as one line; JSON escapes what a terminal should not see."""
    async for _ in reply:
        pass
    print(json.dumps(reply.response))
    return _exit_code(reply)


def _exit_code(reply: Reply) -> int:
    """A reply cut at its length limit is what was asked for; one that was broken off is not."""
    reason = (reply.response.get("incomplete_details") or {}).get("reason")
    return OK if reply.status == "completed" or reason == "max_output_tokens" else FAILED


def _stdin_lines() -> "asyncio.Queue[str | None]":
    """Return a queue of lines, None at the end. Its thread is a daemon, so that a waiting read never delays leaving."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            for line in readable(sys.stdin):
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def readable(stream: TextIO) -> TextIO:
    """Return the stream with U+FFFD where its bytes are no text, instead of an error in the middle."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream


def _talk(text: str) -> None:
    print(safe_text(text), file=sys.stderr, flush=True)


async def _guarded(work: Awaitable[int]) -> int:
    """Run it; tell what went wrong in one sentence, and by the exit code."""
    try:
        return await work
    except ServerUnreachable as error:
        _talk(f"chatbot: {error}; try: chatbot serve")
        return UNREACHABLE
    except ChatbotError as error:
        _talk(f"chatbot: {error}")
        return FAILED
    except asyncio.CancelledError:
        return INTERRUPTED
