"""The list of conversations, read from the server page by page, without those that were deleted meanwhile."""

from chatbot.client import ChatbotError, Client, JsonObject, NotFound, Page, ServerUnreachable
from tui import transitions
from tui.shown import Shown

CHATS_PAGE = 50
LONGEST_PAGE = 1000
"""What the server lists at once."""


class Listing:
    """What the server has, as far as it was listed, looked up or found."""

    def __init__(self, client: Client, shown: Shown) -> None:
        self._client = client
        self._shown = shown
        self._last_change: int | None = None
        """The change where the server's list goes on; a chat that was looked up stands in ours out of order."""
        self._gone: set[str] = set()
        """Conversations that were deleted, here or elsewhere; a list that was read before may still have them."""

    def is_gone(self, chat_id: str) -> bool:
        return chat_id in self._gone

    async def load(self) -> None:
        """Read the newest page, or as much as is shown already and can be had at once."""
        chats = self._shown.state.chats
        known = max((chat.change for chat in chats), default=0)
        page = await self._client.conversations(limit=min(max(CHATS_PAGE, len(chats)), LONGEST_PAGE))
        state, left = self._shown.state, self._left(page)
        self._shown.set(transitions.chats_listed(state, left, has_more=page.has_more, known=known))

    async def load_more(self) -> None:
        """Read the page after what was read."""
        page = await self._client.conversations(limit=CHATS_PAGE, before=self._last_change)
        self._shown.set(transitions.more_chats_listed(self._shown.state, self._left(page), has_more=page.has_more))

    def _left(self, page: Page) -> list[JsonObject]:
        if page.data:
            self._last_change = page.data[-1]["change"]
        return [body for body in page.data if not self.is_gone(body["id"])]

    def add(self, body: JsonObject) -> None:
        """Take in a conversation that the server found, in the list or not."""
        state = self._shown.state
        self._shown.set(transitions.more_chats_listed(state, [body], has_more=state.has_more_chats))

    async def titled(self, title: str) -> JsonObject | None:
        """Look the newest conversation with this title up; raises ServerUnreachable where no server answers now."""
        self._shown.need_server()
        return await self._client.conversation_titled(title)

    async def find(self, words: str) -> list[JsonObject]:
        """Return the conversations in which words were said, newest first; where the server is lost, say so at once."""
        if self._shown.state.connection == "lost":
            raise ServerUnreachable("no server answers")
        return (await self._client.conversations(limit=CHATS_PAGE, search=words)).data

    async def rename(self, chat_id: str, title: str) -> None:
        """Give a chat a title; raises ServerUnreachable where no server answers now."""
        self._shown.need_server()
        body = await self._client.rename(chat_id, title)
        self._shown.set(transitions.chat_described(self._shown.state, body))

    async def delete(self, chat_id: str, *, is_draft: bool) -> None:
        """Delete a chat, at the server too; it stays, and ServerUnreachable is raised, where none answers now."""
        self._gone.add(chat_id)
        if not is_draft:
            try:
                self._shown.need_server()
                await self._client.delete_conversation(chat_id)
            except NotFound:
                pass  # gone already: that is what was wanted
            except ChatbotError:
                self._gone.discard(chat_id)
                raise
        self._shown.set(transitions.removed(self._shown.state, chat_id))

    def deleted_elsewhere(self, chat_id: str) -> None:
        """Forget a chat that somebody else deleted."""
        if not self.is_gone(chat_id):
            self._gone.add(chat_id)
            self._shown.set(transitions.vanished(self._shown.state, chat_id))
