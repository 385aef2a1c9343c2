"""Conversations taken out whole, as lines of JSON, and brought in again."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chatbot.conversation.exported import line_of, lines_of
from chatbot.conversation.faults import told_in_protocol
from chatbot.conversation.imported import read_line
from chatbot.protocol.errors import Conflict, ProtocolError, TooLarge
from chatbot.server.lines import MAX_LINE_BYTES, in_large_pieces, numbered_lines
from chatbot.server.services import Services
from storage.errors import AlreadyExists

MAX_ERRORS = 100
"""How many wrong lines are told of one import; the others are counted."""


class ArchiveRoutes:
    """Endpoints of export and import."""

    def __init__(self, services: Services) -> None:
        self._archive = services.store.archive
        self._feed = services.turns.feed
        self._parsing = asyncio.Lock()

    def routes(self) -> list[Route]:
        return [
            Route("/v1/conversations/export", self.export_all, methods=["GET"]),
            Route("/v1/conversations/import", self.import_lines, methods=["POST"]),
            Route("/v1/conversations/{id}/export", self.export_one, methods=["GET"]),
        ]

    async def export_all(self, request: Request) -> Response:
        with told_in_protocol():
            ids = await self._archive.ids()
        return _download(request, lines_of(self._archive, ids), "conversations.jsonl")

    async def export_one(self, request: Request) -> Response:
        with told_in_protocol():
            outline = await self._archive.outline(request.path_params["id"])
        return _download(request, line_of(self._archive, outline), f"{outline.conversation.id}.jsonl")

    async def import_lines(self, request: Request) -> Response:
        """Store what is right, each line by itself, and tell what is wrong with the others."""
        ids: list[str] = []
        errors: list[dict[str, Any]] = []
        imported = wrong = 0
        async for number, line in numbered_lines(request):
            try:
                conversation_id, is_new = await self._import(line)
            except ProtocolError as error:
                if error.status >= 500:
                    raise
                wrong += 1
                if len(errors) < MAX_ERRORS:
                    errors.append({"line": number, **error.body()})
                continue
            ids.append(conversation_id)
            imported += is_new
        counts = {"imported": imported, "known": len(ids) - imported, "wrong": wrong}
        return JSONResponse({"object": "chatbot:import", **counts, "ids": ids, "errors": errors})

    async def _import(self, line: bytes | None) -> tuple[str, bool]:
        """Return the id of the conversation that a line is, and whether it was not here before."""
        if line is None:
            raise TooLarge(
                "line_too_large", f"expected a line of at most {MAX_LINE_BYTES} bytes; split the conversation"
            )
        async with self._parsing:  # a large one takes seconds and ten times its size: of several importers, one by one
            conversation, items = await asyncio.to_thread(read_line, line, int(time.time()))
        with told_in_protocol():
            try:
                is_new = await self._archive.restore(conversation, items)
            except AlreadyExists:
                raise _taken(conversation.id) from None
        if is_new:
            self._feed.changed(conversation.id)
        return conversation.id, is_new


def _taken(conversation_id: str) -> Conflict:
    message = f"id: expected messages of {conversation_id!r} alone, but another conversation here has some of their ids"
    return Conflict("id_taken", f"{message}; to import a copy, leave out the id of the conversation", "id")


def _download(request: Request, text: AsyncIterator[str], name: str) -> Response:
    """Return a file to be kept; nothing of it is read for HEAD, which asks for the headers alone."""
    headers: dict[str, Any] = {"Content-Disposition": f'attachment; filename="{name}"'}
    body = iter(()) if request.method == "HEAD" else in_large_pieces(text)
    return StreamingResponse(body, media_type="application/jsonl", headers=headers)
