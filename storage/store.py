"""The one object others use: every read and write of conversations, behind plain async methods.

A method that changes something returns only after COMMIT. Cancelling it does not undo it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from storage import conversations, items, responses, turns, versions
from storage.archive import Archive
from storage.conversations import UNCHANGED, Unchanged
from storage.errors import StorageBroken
from storage.items import Order
from storage.opening import OpenDatabase, open_database
from storage.records import (
    INTERRUPTED,
    Conversation,
    Item,
    KnownPath,
    NewItem,
    NewTurn,
    Response,
    ResponseState,
)
from storage.search import newest_found
from storage.writer import Erasing

T = TypeVar("T")
NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})
NOTHING_KNOWN: Final = KnownPath()


class Store:
    def __init__(self, database: OpenDatabase, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self.archive = Archive(database.reader, database.writer)

    @classmethod
    async def open(cls, path: Path, *, clock: Callable[[], float] = time.time) -> "Store":
        """Open the database at the path, made or upgraded as needed, for this process alone."""
        return cls(await open_database(path), clock)

    async def close(self) -> None:
        """Finish what was submitted, close every file and give the lock back."""
        await self._database.close()

    @property
    def broken(self) -> StorageBroken | None:
        """The fatal error after which nothing more is acknowledged, if there was one."""
        return self._database.writer.broken

    async def wait_until_broken(self) -> StorageBroken:
        """Return the fatal error once there is one; a server waits for it in order to stop."""
        return await self._database.writer.wait_until_broken()

    # Conversations

    async def create_conversation(
        self,
        conversation_id: str,
        *,
        title: str | None = None,
        model: str | None = None,
        instructions: str | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
        items: Sequence[NewItem] = (),
        listed: bool = True,
    ) -> Conversation:
        """Create a conversation, with first items chained from its root."""
        return await self._write(
            partial(
                _create_conversation,
                conversation_id=conversation_id,
                new_items=items,
                title=title,
                model=model,
                instructions=instructions,
                metadata=metadata,
                listed=listed,
                now=self._now(),
            )
        )

    async def conversation(self, conversation_id: str) -> Conversation:
        """Return the conversation, or raise ConversationNotFound."""
        return await self._read(lambda db: conversations.fetch(db, conversation_id))

    async def conversations(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        before: int | None = None,
        title: str | None = None,
        search: str = "",
    ) -> list[Conversation]:
        """Listed conversations, last changed first; the next page is `before` the change that this one ended with.

        Or `after` the id that it ended with, if that conversation was not changed since. Only those with exactly this
        `title`, if one is given, and with all words of `search` in the title or in one message.
        """
        read = self._database.reader.search if search else self._read
        return await read(
            lambda db: conversations.listed(db, limit=limit, after=after, before=before, title=title, search=search)
        )

    async def found_in(self, conversation_ids: Sequence[str], search: str) -> dict[str, Item]:
        """Return the newest message of each conversation that has all words of a search, where there is one."""
        return await self._database.reader.search(lambda db: newest_found(db, conversation_ids, search))

    async def update_conversation(
        self,
        conversation_id: str,
        *,
        title: str | Unchanged | None = UNCHANGED,
        model: str | Unchanged | None = UNCHANGED,
        instructions: str | Unchanged | None = UNCHANGED,
        metadata: Mapping[str, str] | Unchanged = UNCHANGED,
        active_item_id: str | None = None,
    ) -> Conversation:
        """Change what is given, leave the rest, and return the conversation.

        With an `active_item_id` it goes on from that item, or from the newest of what followed it.
        """

        def change(db: Connection) -> Conversation:
            fields = metadata if metadata is UNCHANGED else dict(metadata)
            conversations.change(
                db, conversation_id, title=title, model=model, instructions=instructions, metadata=fields
            )
            if active_item_id is not None:
                versions.choose(db, conversation_id, active_item_id)
            return conversations.fetch(db, conversation_id)

        return await self._write(change)

    async def delete_conversation(self, conversation_id: str) -> None:
        """Delete the conversation and everything in it; its text is then in no file of the database."""
        await self._write(lambda db: conversations.remove(db, conversation_id), erases="now")

    # Items

    async def append_items(self, conversation_id: str, new_items: Sequence[NewItem]) -> list[Item]:
        """Chain the items under the active leaf; the last one becomes the active leaf."""
        now = self._now()
        return await self._write(lambda db: items.append(db, conversation_id, new_items, now))

    async def items(
        self,
        conversation_id: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        order: Order = "asc",
        leaf: str | None = None,
    ) -> list[Item]:
        """Items on the path to the leaf (None: the active one), from behind `after` in that order.

        Descending, what is behind an item is what led to it, on whatever branch that is.
        """
        return await self._read(lambda db: items.path(db, conversation_id, leaf, after=after, limit=limit, order=order))

    async def path(self, conversation_id: str, leaf: str, known: KnownPath = NOTHING_KNOWN) -> KnownPath:
        """Items from the root to the leaf; of what is known of the conversation, only what is new is read."""
        return await self._read(lambda db: items.path_from(db, conversation_id, leaf, known))

    async def item(self, conversation_id: str, item_id: str) -> Item:
        """Return the item, or raise ItemNotFound."""
        return await self._read(lambda db: items.fetch(db, conversation_id, item_id))

    async def versions(self, conversation_id: str, shown: Sequence[Item]) -> Mapping[str, Sequence[str]]:
        """Ids of all versions of each of these items, oldest first, by the item's id."""
        return await self._read(lambda db: versions.of(db, conversation_id, shown))

    async def delete_item(self, conversation_id: str, item_id: str) -> None:
        """Delete the item and the response that wrote it; its children move up to its parent."""
        await self._write(lambda db: items.remove(db, conversation_id, item_id), erases="now")

    # Turns and responses

    async def begin_turn(self, turn: NewTurn) -> tuple[Response, bool]:
        """Store the turn in one transaction; return its response and whether it is new.

        Raises:
            IdempotencyKeyReused: the key is known and the body differs.
            ConversationNotFound, PreviousResponseNotFound, ParentItemNotFound: a name that the turn refers to.
        """
        now = self._now()
        return await self._write(lambda db: turns.begin(db, turn, now))

    async def instructions_before(self, turn: NewTurn) -> list[str]:
        """Texts of the stored system messages that the turn would come after; raises for names as `begin_turn` does."""
        if turn.conversation_id is None:
            return []
        return await self._read(lambda db: turns.instructions_before(db, turn))

    async def response_under_key(self, key: str, body_sha256: str, *, may_be_gone: bool = False) -> Response | None:
        """The response that was begun under this idempotency key; None if the key is new.

        Or if it was deleted, where it `may_be_gone`: one that is not to be stored is, after its end.

        Raises:
            IdempotencyKeyReused: the key is known and the body differs.
        """
        return await self._read(lambda db: turns.stored_under_key(db, key, body_sha256, may_be_gone=may_be_gone))

    async def start_response(self, response_id: str, context: Mapping[str, Any]) -> None:
        """Move a queued response to in_progress and record what the model is about to see.

        Raises:
            ContextOutdated: an item that the context names as kept or recalled was deleted; build it again.
        """
        await self._write(lambda db: responses.start(db, response_id, context))

    async def checkpoint(self, response_id: str, text: str, delta_lengths: Sequence[int]) -> None:
        """Keep the text so far of a response in progress."""
        lengths = _lengths_of(text, delta_lengths)
        await self._write(lambda db: responses.checkpoint(db, response_id, text, lengths))

    async def finish_response(
        self,
        response_id: str,
        state: ResponseState,
        text: str,
        delta_lengths: Sequence[int],
        *,
        usage: Mapping[str, Any] | None = None,
        incomplete_reason: str | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
    ) -> Response:
        """End the response with its final text; the first end wins, a second is a ResponseStateConflict."""
        return await self._write(
            partial(
                responses.finish,
                response_id=response_id,
                state=state,
                text=text,
                lengths=_lengths_of(text, delta_lengths),
                usage=usage,
                incomplete_reason=incomplete_reason,
                error_code=error_code,
                error_message=error_message,
                now=self._now(),
            )
        )

    async def response(self, response_id: str) -> Response:
        """Return the response with its text, or raise ResponseNotFound."""
        return await self._read(lambda db: responses.fetch(db, response_id))

    async def delete_response(self, response_id: str, *, erases: Erasing = "now") -> None:
        """Delete the response; its items stay, but a hidden conversation goes with its last response.

        Where nobody waits to hear that the text is gone from all files, it `erases` "soon".
        """
        await self._write(lambda db: responses.remove(db, response_id), erases=erases)

    async def interrupt_unfinished(self) -> list[str]:
        """At start: end what an earlier run left as incomplete, keeping its text; return the ids."""
        now = self._now()
        return await self._write(lambda db: responses.interrupt_unfinished(db, INTERRUPTED, now))

    async def responses_not_to_be_kept(self) -> list[str]:
        """Ids of the responses made with `store: false` that are still here, whatever their state."""
        return await self._read(responses.not_to_be_kept)

    async def last_context(self, conversation_id: str, leaf: str) -> Mapping[str, Any] | None:
        """Context record of the response nearest to the leaf on its path, or None if none recorded one."""
        return await self._read(lambda db: responses.last_context(db, conversation_id, leaf))

    def _now(self) -> int:
        return int(self._clock())

    async def _read(self, query: Callable[[Connection], T]) -> T:
        return await self._database.reader.read(query)

    async def _write(self, operation: Callable[[Connection], T], *, erases: Erasing = "none") -> T:
        return await self._database.writer.submit(operation, erases=erases)


def _create_conversation(
    db: Connection, conversation_id: str, new_items: Sequence[NewItem], now: int, **values: Any
) -> Conversation:
    conversations.create(db, conversation_id, now=now, **values)
    items.append(db, conversation_id, new_items, now)
    return conversations.fetch(db, conversation_id)


def _lengths_of(text: str, delta_lengths: Sequence[int]) -> tuple[int, ...]:
    """A copy of the lengths, since the caller's list grows while the write waits."""
    lengths = tuple(delta_lengths)
    if sum(lengths) != len(text):
        raise ValueError(
            f"expected delta lengths that add up to {len(text)} characters, but they add up to {sum(lengths)}"
        )
    return lengths
