"""`/v1/responses` over HTTP: one turn as JSON or as a stream of server-sent events, and what comes after it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chatbot.conversation.faults import told_in_protocol
from chatbot.conversation.stream import ResponseLog
from chatbot.protocol.errors import InvalidRequest, NotFound
from chatbot.protocol.events import Event
from chatbot.protocol.requests import ResponseCreate, validate
from chatbot.protocol.resources import item_resource, page, response_resource
from chatbot.server.bodies import DEFAULT_PAGE, MAX_PAGE, query_flag, query_int, query_order, read_object
from chatbot.server.services import Services

PING_S = 15.0
"""Silence after which a comment is sent, so that no proxy closes a stream that waits for its first token."""
MAX_SEQUENCE = 2**31
MAX_KEY_CHARS = 255


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
        log = await self._turns.create(wanted, idempotency_key(wanted, request.headers.get("idempotency-key")))
        if wanted.stream:
            return EventStream(log, -1)
        if wanted.background:
            return JSONResponse(response_resource(log.response))
        return await self._whole(request, log)

    async def retrieve(self, request: Request) -> Response:
        log = await self._turns.attach(request.path_params["id"])
        if query_flag(request, "stream"):
            return EventStream(log, _starting_after(request))
        with told_in_protocol():
            return JSONResponse(response_resource(await self._services.store.response(log.response.id)))

    async def cancel(self, request: Request) -> Response:
        return JSONResponse(response_resource(await self._turns.cancel(request.path_params["id"])))

    async def delete(self, request: Request) -> Response:
        response_id = request.path_params["id"]
        response = await self._turns.cancel(response_id)
        with told_in_protocol():
            await self._services.store.delete_response(response_id)
        self._turns.feed.changed(response.conversation_id)
        await self._services.turns.forget(response.conversation_id)
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

    async def _whole(self, request: Request, log: ResponseLog) -> Response:
        """Answer with the settled response; a client that leaves before is not waited for."""
        ended = asyncio.create_task(log.wait_closed())
        left = asyncio.create_task(_disconnect(request))
        try:
            with log.reading():
                await asyncio.wait([ended, left], return_when=asyncio.FIRST_COMPLETED)
            return JSONResponse(response_resource(log.response))
        finally:
            ended.cancel()
            left.cancel()


class EventStream(StreamingResponse):
    """Events of a log as they come, sent by the server.

    It reads from when it is called, not from the first event: the iterator of the body is never begun, so it has no
    end, if the client goes before it has the headers.
    """

    def __init__(self, log: ResponseLog, starting_after: int) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(_server_sent(log.events(starting_after)), media_type="text/event-stream", headers=headers)
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._log.reading():
            await super().__call__(scope, receive, send)


def idempotency_key(request: ResponseCreate, header: str | None = None) -> str | None:
    """Return the key from the header, the field, or the metadata (where typed SDKs can put it)."""
    given = (header, request.idempotency_key, (request.metadata or {}).get("idempotency_key"))
    key = next((key for key in given if key is not None), None)
    if key is not None and not 0 < len(key) <= MAX_KEY_CHARS:
        message = f"idempotency_key: expected 1 to {MAX_KEY_CHARS} characters, got {len(key)}"
        raise InvalidRequest("invalid_parameter", message, "idempotency_key")
    return key


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


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def with_pings(events: AsyncIterator[Event]) -> AsyncIterator[Event | None]:
    """Yield the events, and None whenever none has come for a while."""
    upcoming: asyncio.Task[Event] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([upcoming], timeout=PING_S)
            if not done:
                yield None
                continue
            finished, upcoming = upcoming, None
            try:
                event = finished.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        if upcoming is not None:
            upcoming.cancel()


async def _server_sent(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    async for event in with_pings(events):
        yield ": ping\n\n" if event is None else _encode(event)
    yield "data: [DONE]\n\n"


def _encode(event: Event) -> str:
    """The id is what an `EventSource` sends back as `Last-Event-ID` when it comes again by itself."""
    return f"id: {event['sequence_number']}\nevent: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
