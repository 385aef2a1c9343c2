"""Request bodies in, errors out: what every HTTP route does the same way."""

import re
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Route

from chatbot.conversation.faults import as_protocol_error
from chatbot.protocol.errors import InvalidRequest, NotFound, ProtocolError, ServerFault, TooLarge
from chatbot.protocol.frames import parse_object
from storage.errors import StorageError
from storage.items import Order

logger = structlog.get_logger(__name__)

TURNS_GO = "a turn is POST /v1/responses or /v1/chat/completions, or a message on the WebSocket /v1/responses"
"""What most of those look for who ask for something else, such as `/v1/completions`."""
DEFAULT_PAGE = 20
MAX_PAGE = 1000
"""How much of a list one answer has."""


async def read_object(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the body; an empty body is an empty object. Raises TooLarge, InvalidRequest."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise TooLarge("body_too_large", f"the body is larger than {max_bytes} bytes")
    except ClientDisconnect:
        raise InvalidRequest("client_left", "the client left before its request was whole") from None
    return parse_object(bytes(body)) if body else {}


def query_int(request: Request, name: str, default: int, *, low: int, high: int) -> int:
    """Return an integer from the query string within its range. Raises InvalidRequest."""
    given = request.query_params.get(name)
    if given is None:
        return default
    value = int(given) if re.fullmatch(r"-?[0-9]{1,19}", given) else low - 1
    if not low <= value <= high:
        message = f"{name}: expected a number from {low} to {high}, got {given[:40]!r}"
        raise InvalidRequest("invalid_parameter", message, name)
    return value


def query_flag(request: Request, name: str) -> bool:
    """Return true or false from the query string; false where it is not given. Raises InvalidRequest."""
    given = request.query_params.get(name, "false").lower()
    if given not in ("true", "false"):
        raise InvalidRequest("invalid_parameter", f"{name}: expected true or false, got {given[:40]!r}", name)
    return given == "true"


def query_order(request: Request) -> Order:
    """Return the order that a list is asked for in; newest first where none is given. Raises InvalidRequest."""
    given = request.query_params.get("order", "desc")
    if given not in ("asc", "desc"):
        raise InvalidRequest("invalid_parameter", f"order: expected asc or desc, got {given[:40]!r}", "order")
    return "asc" if given == "asc" else "desc"


async def tell_error(request: Request, error: Exception) -> JSONResponse:
    """Answer with an error in the one form that all our errors have."""
    match error:
        case ProtocolError():
            told = error
        case StorageError():
            told = as_protocol_error(error)
        case HTTPException(status_code=404 | 405):
            told = NotFound("unknown_route", f"there is no {request.method} {request.url.path}; {TURNS_GO}")
            told.status = error.status_code
        case HTTPException():
            told = InvalidRequest("invalid_request", error.detail)
            told.status = error.status_code
        case _:
            logger.error("request crashed", path=request.url.path, exc_info=error)
            told = ServerFault("server_error", "the server failed on this request")
    return JSONResponse({"error": told.body()}, told.status, headers=_headers(request, told.status))


def _headers(request: Request, status: int) -> dict[str, str]:
    if status == 405:
        routes = [route for route in request.app.routes if isinstance(route, Route)]
        fitting = [route.methods or set() for route in routes if route.matches(request.scope)[0] is not Match.NONE]
        return {"Allow": ", ".join(sorted(set().union(*fitting)))}
    return {"Retry-After": "1"} if status in (429, 503) else {}
