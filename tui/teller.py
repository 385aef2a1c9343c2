"""What is said in plain mode, printed under the name of who says it, and stopped while it is being written."""

import asyncio

from chatbot.client import ChatbotError, Client, JsonObject, Reply, item_text
from tui.ask import print_text, talk
from tui.export import Naming
from tui.safe_text import safe_line, safe_text
from tui.state import State
from tui.transitions import models_listed


class Teller:
    """Prints replies, one at a time; through a pipe without names."""

    def __init__(self, client: Client, *, names_speakers: bool) -> None:
        self._client = client
        self._names_speakers = names_speakers
        self._known = State()
        """Who can answer."""
        self._reply: Reply | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def tell(self, reply: Reply) -> int:
        """Print a reply as it comes; return the exit code that it deserves."""
        self._reply = reply
        try:
            heading = f"{await self._speaker(reply.response)}: " if self._names_speakers else ""
            return await print_text(reply, heading)
        finally:
            if self._stopping:
                self._stopping.cancel()
            self._reply = self._stopping = None

    async def tell_end(self, conversation: str) -> None:
        """Print the newest turn, as the full screen shows it: without what the system was told."""
        end = await self._client.items(conversation, order="desc", limit=4)
        for said in reversed([item for item in end.data if item["role"] != "system"][:2]):
            name = "You" if said["role"] == "user" else await self._speaker(said)
            print(f"{name}: {safe_text(item_text(said))}", flush=True)

    def stop(self) -> bool:
        """Have the reply stopped that is being printed; False if there is none, or that was asked for already."""
        if self._reply is None or self._stopping:
            return False
        self._stopping = asyncio.create_task(_stop(self._reply))
        return True

    async def naming(self) -> Naming:
        """Return what gives the name that stands before a reply, the same as on the full screen."""
        if not self._known.models:
            self._known = models_listed(self._known, await self._client.models())
        return self._known.speaker

    async def _speaker(self, said: JsonObject) -> str:
        return (await self.naming())(safe_line(said.get("model") or "") or None)


async def _stop(reply: Reply) -> None:
    try:
        await reply.cancel()
    except ChatbotError as error:
        talk(f"Not stopped: {error}")
