"""The same chats line by line: for pipes and screen readers. Nothing is redrawn, nothing is decorated.

Every turn is told as `tui.ask` tells its one, with the same exit codes.
"""

import asyncio
import contextlib
import signal

from chatbot.client import Client, JsonObject, ReplyFailed, RequestRejected
from tui.ask import FAILED, OK, PATIENCE_S, Ensure, guarded, talk
from tui.commands import COMMANDS, Command, UnknownCommand, message_of, parse, trimmed
from tui.export import export
from tui.meant import brief, called, partly_called
from tui.safe_text import safe_line
from tui.teller import Teller
from tui.typed_lines import TypedLines


async def run_plain(
    url: str,
    *,
    ensure: Ensure | None = None,
    api_key: str | None = None,
    conversation: str | None = None,
) -> int:
    """Chat on stdin and stdout, one turn a line, until the input ends; return the exit code."""

    async def chat() -> int:
        async with Client(url, api_key, ensure=ensure, patience_s=PATIENCE_S) as client:
            plain = PlainChat(client)
            if conversation:
                await plain.open_titled(conversation)
            return await plain.run()

    return await guarded(chat())


class PlainChat:
    """One conversation at a time, and the commands that make sense without a screen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._model: str | None = None
        """Who was chosen to answer here."""
        self._conversation: JsonObject | None = None
        self._new_title: str | None = None
        """What the next new conversation is called, if it was named before there was anything in it."""
        self._lines = TypedLines()
        self._teller = Teller(client, names_speakers=self._lines.is_terminal)
        self._is_over = False
        self._exit_code = OK

    async def open_titled(self, title: str) -> None:
        """Go on in the conversation of this title, which is made by the first message if there is none."""
        self._conversation = await self._client.conversation_titled(title)
        self._new_title = None if self._conversation else title

    async def run(self) -> int:
        """Read lines until the input or the user ends it; the code tells whether the last turn went well."""
        self._catch_interrupt()
        if self._lines.is_terminal:
            await self._greet()
        while not self._is_over:
            line = await self._lines.next("You: ")
            if line is None:
                break
            if line.strip():
                self._exit_code = await self._take(trimmed(line))
        return self._exit_code

    async def _greet(self) -> None:
        """Say where one is, and what was said last."""
        talk("/help lists the commands, ^D leaves.")
        if self._conversation:
            await self._teller.tell_end(self._conversation["id"])

    def _catch_interrupt(self) -> None:
        """^C stops the reply that is being written; at the prompt, or while that is not done, it leaves."""
        task = asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            if not self._teller.stop():
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
            talk(str(error))
            return FAILED

    async def _say(self, text: str) -> int:
        if self._conversation is None:
            self._conversation = await self._client.create_conversation(title=self._new_title, model=self._model)
            self._new_title = None
        return await self._teller.tell(
            await self._client.send(text, conversation=self._conversation["id"], model=self._model)
        )

    async def _run(self, command: Command, argument: str) -> int:
        if not command.is_plain:
            talk(f"/{command.name} needs the full screen")
            return FAILED
        return await getattr(self, f"command_{command.name}")(argument) or OK

    async def command_new(self, _: str) -> None:
        self._conversation = self._new_title = None
        talk("New conversation.")

    async def command_open(self, title: str) -> int:
        found = await self._titled(title) if title else None
        if found:
            self._conversation, self._new_title = found, None
            self._model = None  # it has a persona of its own
            talk(f"Now in “{safe_line(found['title'])}”.")
            return OK
        talk(f"No conversation is called “{brief(title)}”; /list shows them." if title else "Usage: /open TITLE")
        return FAILED

    async def _titled(self, title: str) -> JsonObject | None:
        """Find the conversation with a title, or else one of the newest that has it but for capitals, or in its own."""
        if found := await self._client.conversation_titled(title):
            return found
        newest = (await self._client.conversations()).data
        return called(title, newest, _title) or partly_called(title, newest, _title)

    async def command_search(self, words: str) -> None:
        page = await self._client.conversations(search=words)
        for conversation in page.data:
            talk(safe_line(conversation.get("title") or "(no title)"))
        if page.has_more:
            talk("(and older ones, which /search WORDS finds)")
        elif not page.data:
            talk("There is none.")

    async def command_rename(self, title: str) -> int:
        if self._conversation and title:
            self._conversation = await self._client.rename(self._conversation["id"], title)
            talk(f"Now called “{title}”.")
            return OK
        talk("Usage: /rename TITLE, once something was said.")
        return FAILED

    async def command_delete(self, _: str) -> int:
        if self._conversation is None:
            talk("There is nothing to delete yet.")
            return FAILED
        title = safe_line(self._conversation.get("title") or "")
        if await self._lines.agrees(f"Delete {f'“{title}”' if title else 'this conversation'} for good?"):
            await self._client.delete_conversation(self._conversation["id"])
            self._conversation = None
            talk("Deleted. The next line starts a new conversation.")
        return OK

    async def command_retry(self, _: str) -> int:
        return await self._answer_anew(None)

    async def command_edit(self, text: str) -> int:
        if text:
            return await self._answer_anew(text)
        talk("Usage: /edit TEXT, to be answered in the place of your last message.")
        return FAILED

    async def command_earlier(self, _: str) -> int:
        return await self._show_version(-1)

    async def command_later(self, _: str) -> int:
        return await self._show_version(1)

    async def _show_version(self, step: int) -> int:
        """Go on from another version of the newest message that has some, and print how the conversation ends then."""
        if self._conversation and (item := await self._version(self._conversation["id"], step)):
            await self._client.choose_version(self._conversation["id"], item)
            await self._teller.tell_end(self._conversation["id"])
            return OK
        talk(f"There is no {'earlier' if step < 0 else 'later'} version of a message here.")
        return FAILED

    async def _version(self, conversation: str, step: int) -> str | None:
        async for item in self._client.each_item(conversation, order="desc"):
            ids: list[str] = item["versions"]
            if len(ids) > 1:
                place = ids.index(item["id"]) + step
                return ids[place] if 0 <= place < len(ids) else None
        return None

    async def _answer_anew(self, text: str | None) -> int:
        if self._conversation:
            return await self._teller.tell(
                await self._client.retry(text, conversation=self._conversation["id"], model=self._model)
            )
        talk("There is no message to answer anew.")
        return FAILED

    async def command_export(self, file: str) -> int:
        if self._conversation is None:
            talk("There is nothing to export yet.")
            return FAILED
        chat = await self._client.conversation(self._conversation["id"])
        try:
            path = await export(
                self._client, chat["id"], safe_line(chat.get("title") or ""), await self._teller.naming(), file
            )
        except OSError as error:
            talk(f"Nothing was written: {error}")
            return FAILED
        talk(f"Written to {path}")
        return OK

    async def command_persona(self, name: str) -> int:
        known = [model["id"] for model in await self._client.models()]
        if meant := called(name, known, str):
            self._model = meant
            if self._conversation:
                await self._client.set_model(self._conversation["id"], meant)
            talk(f"{safe_line(meant)} answers from now on.")
            return OK
        talk((f"Nobody is called “{brief(name)}”. " if name else "") + "Personas: " + ", ".join(map(safe_line, known)))
        return FAILED if name else OK

    async def command_list(self, _: str) -> None:
        await self.command_search("")

    async def command_help(self, _: str) -> None:
        for command in COMMANDS:
            if command.is_plain:
                talk(f"{command.usage:<18} {command.help}")

    async def command_quit(self, _: str) -> None:
        self._is_over = True


def _title(conversation: JsonObject) -> str:
    return conversation.get("title") or ""
