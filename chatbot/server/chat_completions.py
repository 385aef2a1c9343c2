"""`/v1/chat/completions`: for clients that bring the whole chat each time, which most programs that chat can be."""

import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatbot.conversation.stream import ResponseLog
from chatbot.protocol.chat_completions import ChatCompletionCreate, Chunk, chunk, completion, last_chunks
from chatbot.protocol.errors import InvalidRequest, ProtocolError
from chatbot.protocol.requests import validate
from chatbot.server.bodies import read_object
from chatbot.server.delivery import DONE, PING, EventStream, wait_for_end, with_pings
from chatbot.server.services import Services


class ChatCompletionRoutes:
    """The endpoint of `/v1/chat/completions`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [Route("/v1/chat/completions", self.create, methods=["POST"])]

    async def create(self, request: Request) -> Response:
        body = await read_object(request, self._services.settings.max_message_bytes)
        wanted = validate(ChatCompletionCreate, body)
        try:
            log = await self._services.turns.create(wanted.as_turn())
        except InvalidRequest as error:
            if error.param == "input":  # what a turn calls the messages
                error.param = "messages"
            raise
        if wanted.stream:
            return EventStream(log, _frames(log, includes_usage=wanted.includes_usage))
        await wait_for_end(log, request)
        return JSONResponse(completion(log.response))


async def _frames(log: ResponseLog, *, includes_usage: bool) -> AsyncIterator[str]:
    """Yield the reply in chunks; a fault after the headers are sent is told in the stream, which then ends."""
    async for event in with_pings(log.events()):
        if event is None:
            yield PING
        elif (piece := chunk(log.response, event, includes_usage=includes_usage)) is not None:
            yield _encode(piece)
    try:
        for piece in last_chunks(log.response, includes_usage=includes_usage):
            yield _encode(piece)
    except ProtocolError as error:
        yield _encode({"error": error.body()})
    yield DONE


def _encode(piece: Chunk) -> str:
    """JSON in ASCII, for many a client takes U+2028 for the end of a line."""
    return f"data: {json.dumps(piece)}\n\n"
