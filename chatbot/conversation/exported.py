"""Conversations as lines of JSON, in pieces: a line may be longer than memory is large."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from chatbot.protocol.archive import archived_conversation, archived_message
from storage.archive import Archive, Outline
from storage.errors import ConversationNotFound, StorageError
from storage.records import ArchivedItem

AT_ONCE = 500
"""Messages that are read together."""


async def lines_of(archive: Archive, conversation_ids: Iterable[str]) -> AsyncIterator[str]:
    """Yield the lines of conversations; those that are deleted meanwhile are left out."""
    for conversation_id in conversation_ids:
        try:
            outline = await archive.outline(conversation_id)
        except ConversationNotFound:
            continue
        async for piece in line_of(archive, outline):
            yield piece


async def line_of(archive: Archive, outline: Outline) -> AsyncIterator[str]:
    """Yield the line of a conversation."""
    yield _dumped(archived_conversation(outline.conversation)).removesuffix("}") + ', "messages": ['
    async for message in _messages(archive, outline, are_on_path=True):
        yield message
    if outline.has_branches:
        yield '], "branches": ['
        async for message in _messages(archive, outline, are_on_path=False):
            yield message
    yield "]}\n"


async def _messages(archive: Archive, outline: Outline, *, are_on_path: bool) -> AsyncIterator[str]:
    previous_id, comma = None, ""
    async for item in _each_item(archive, outline):
        if (item.position in outline.path) is are_on_path:
            yield comma + _dumped(archived_message(item, previous_id, with_position=outline.has_branches))
            previous_id, comma = item.id, ", "


async def _each_item(archive: Archive, outline: Outline) -> AsyncIterator[ArchivedItem]:
    begin = 0
    while begin < outline.end:
        try:
            page = await archive.items(outline, begin=begin, limit=AT_ONCE)
        except StorageError as error:
            error.add_note(f"The export stopped in conversation {outline.conversation.id!r}.")
            raise
        for item in page:
            yield item
        begin = page[-1].position + 1 if len(page) == AT_ONCE else outline.end


def _dumped(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
