"""Who may connect: the Host, Origin and key checks that stand before every route, HTTP and WebSocket alike.

Browsers apply no same-origin rule to WebSockets, so a page anywhere could drive a server on localhost; and with DNS
rebinding it could do so under a name of its own. Hence two allow-lists, on loopback too. A client without an Origin
header is no browser and passes.
"""

import hmac
import re
from collections.abc import Iterable

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from chatbot.protocol.errors import Forbidden, ProtocolError, Unauthorized

logger = structlog.get_logger(__name__)

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORT = re.compile(r":[0-9]*$")
_SCHEME = re.compile(r"^bearer +", re.IGNORECASE)
SUBPROTOCOLS = ("responses", "realtime")
"""Names that a browser may offer; one of them is echoed, never the one that holds the key."""
_KEY_SUBPROTOCOL = "openai-insecure-api-key."


class Guard:
    """ASGI middleware that lets a request pass or answers it with 401 or 403."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str],
        origins: Iterable[str],
        api_key: str | None,
        open_paths: Iterable[str] = (),
    ) -> None:
        """`open_paths` need no key, and neither do those that say whether the server is well."""
        self._app = app
        self._hosts = {*_LOOPBACK, *(host.lower().strip("[]") for host in hosts)}
        self._origins = set(origins)
        self._api_key = api_key
        self._open_paths = {"/health", "/ready", *open_paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        try:
            self._check(scope)
        except ProtocolError as error:
            # A browser hides why from its page, so whoever runs the server has to be able to read it here.
            logger.warning("refused", code=error.code, why=error.message)
            return await _deny(error, scope, receive, send)
        return await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        self._check_host(host)
        for origin in headers.getlist("origin"):
            self._check_origin(origin, host)
        if self._api_key and scope["path"] not in self._open_paths:
            self._check_key(self._api_key, headers, scope.get("subprotocols", []))

    def _check_host(self, host: str) -> None:
        name = _PORT.sub("", host.lower()).strip("[]")
        if name not in self._hosts:
            message = f"host {host!r} is not served here; start with --allow-host to add it"
            raise Forbidden("host_not_allowed", message)

    def _check_origin(self, origin: str, host: str) -> None:
        own = {f"http://{host}".lower(), f"https://{host}".lower()}
        if origin.lower() not in own | self._origins:
            raise Forbidden(*_origin_refused(origin))

    def _check_key(self, expected: str, headers: Headers, subprotocols: list[str]) -> None:
        given = [_SCHEME.sub("", value) for value in headers.getlist("authorization")]
        given += [name[len(_KEY_SUBPROTOCOL) :] for name in subprotocols if name.startswith(_KEY_SUBPROTOCOL)]
        if not any(hmac.compare_digest(key.encode(), expected.encode()) for key in given):
            message = "no valid API key; send `Authorization: Bearer KEY` (`chatbot` takes it from CHATBOT_API_KEY)"
            raise Unauthorized("invalid_api_key", message)


class Pages(CORSMiddleware):
    """Answers a browser that asks first whether its page may send something; a no is logged, for nothing follows it."""

    def preflight_response(self, request_headers: Headers) -> Response:
        origin = request_headers["origin"]
        if not self.is_allowed_origin(origin):
            code, why = _origin_refused(origin)
            logger.warning("refused", code=code, why=why)
        return super().preflight_response(request_headers)


def _origin_refused(origin: str) -> tuple[str, str]:
    return "origin_not_allowed", f"origin {origin!r} may not connect; start with --allow-origin to add it"


async def _deny(error: ProtocolError, scope: Scope, receive: Receive, send: Send) -> None:
    response = JSONResponse({"error": error.body()}, error.status)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
