"""`/v1/responses` over HTTP: one turn as JSON or as a stream of server-sent events, and what comes after it."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatbot.conversation.erasing import forgetting
from chatbot.conversation.faults import told_in_protocol
from chatbot.conversation.stream import ResponseLog
from chatbot.protocol.errors import NotFound
from chatbot.protocol.events import Event
from chatbot.protocol.requests import ResponseCreate, validate
from chatbot.protocol.resources import item_resource, page, response_resource
from chatbot.server.bodies import DEFAULT_PAGE, MAX_PAGE, query_flag, query_int, query_order, read_object
from chatbot.server.delivery import DONE, PING, EventStream, wait_for_end, with_pings
from chatbot.server.idempotency import HEADER, idempotency_key
from chatbot.server.services import Services
from storage.errors import ResponseNotFound

MAX_SEQUENCE = 2**31


class ResponseRoutes:
    """Endpoints of `/v1/responses`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._turns = services.turns

    def routes(self) -> list[Route]:
        return [
            Route("/v1/responses", self.create, methods=["POST"]),
            Route("/v1/responses/{id}", self.retrieve, methods=["GET"]),
            Route("/v1/responses/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/responses/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/responses/{id}/input_items", self.input_items, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        body = await read_object(request, self._services.settings.max_message_bytes)
        wanted = validate(ResponseCreate, body)
        key = idempotency_key(request.headers.get(HEADER), wanted.given_key)
        log = await self._turns.create(wanted, key)
        if wanted.stream:
            return EventStream(log, _frames(log, -1))
        if not wanted.background:
            await wait_for_end(log, request)
        return JSONResponse(response_resource(log.response))

    async def retrieve(self, request: Request) -> Response:
        log = await self._turns.attach(request.path_params["id"])
        if query_flag(request, "stream"):
            return EventStream(log, _frames(log, _starting_after(request)))
        with told_in_protocol():
            return JSONResponse(response_resource(await self._services.store.response(log.response.id)))

    async def cancel(self, request: Request) -> Response:
        return JSONResponse(response_resource(await self._turns.cancel(request.path_params["id"])))

    async def delete(self, request: Request) -> Response:
        response_id = request.path_params["id"]
        response = await self._turns.cancel(response_id)
        async with forgetting(self._turns, response.conversation_id):
            with told_in_protocol(), suppress(ResponseNotFound):  # stopped, one with `store: false` goes by itself
                await self._services.store.delete_response(response_id)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> Response:
        limit = query_int(request, "limit", DEFAULT_PAGE, low=1, high=MAX_PAGE)
        order = query_order(request)
        store = self._services.store
        with told_in_protocol():
            response = await store.response(request.path_params["id"])
            ids = response.input_item_ids if order == "asc" else response.input_item_ids[::-1]
            ids = _behind(request.query_params.get("after"), ids)
            items = [await store.item(response.conversation_id, item_id) for item_id in ids[:limit]]
        return JSONResponse(page([item_resource(item) for item in items], has_more=len(ids) > limit))


def _behind(item_id: str | None, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids that come after one of them; all of them where it is None."""
    if item_id is None:
        return ids
    if item_id not in ids:
        message = f"after: expected an input item of this response, got {item_id[:60]!r}; list them without after"
        raise NotFound("item_not_found", message, "after")
    return ids[ids.index(item_id) + 1 :]


def _starting_after(request: Request) -> int:
    """Return the place from the query, or where the reader's browser lost the stream before."""
    last_seen = request.headers.get("last-event-id", "")
    place = int(last_seen) if re.fullmatch(r"[0-9]{1,9}", last_seen) else -1
    return max(place, query_int(request, "starting_after", -1, low=-1, high=MAX_SEQUENCE))


async def _frames(log: ResponseLog, starting_after: int) -> AsyncIterator[str]:
    async for event in with_pings(log.events(starting_after)):
        yield PING if event is None else _encode(event)
    yield DONE


def _encode(event: Event) -> str:
    """The id is what an `EventSource` sends back as `Last-Event-ID` when it comes again by itself.

    JSON in ASCII, for many a client takes U+2028 for the end of a line.
    """
    return f"id: {event['sequence_number']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n"
