"""The Starlette application: routes, errors and the guard in front of them."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from chatbot.protocol.errors import NotFound, ProtocolError
from chatbot.server.archive import ArchiveRoutes
from chatbot.server.bodies import TURNS_GO, tell_error
from chatbot.server.chat_completions import ChatCompletionRoutes
from chatbot.server.conversations import ConversationRoutes
from chatbot.server.guard import Guard, Pages
from chatbot.server.health import HealthRoutes
from chatbot.server.metrics import MetricsRoutes
from chatbot.server.models import ModelRoutes
from chatbot.server.presence import Presence, PresenceMiddleware
from chatbot.server.responses import ResponseRoutes
from chatbot.server.services import Services
from chatbot.server.socket import ResponseSocket
from chatbot.server.web_page import WebPage
from storage.errors import StorageError


def create_app(services: Services, presence: Presence | None = None) -> Starlette:
    """Return the application over open services."""
    settings, page = services.settings, WebPage()

    async def serve_socket(socket: WebSocket) -> None:
        await ResponseSocket(services, socket).serve()

    guard = Middleware(
        Guard,
        hosts=[settings.host, *settings.allow_host],
        origins=settings.allow_origin,
        api_key=settings.api_key,
        open_paths=page.paths,
    )
    cors = Middleware(
        Pages,
        allow_origins=settings.allow_origin,
        allow_methods=["*"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=["Retry-After"],
    )
    return Starlette(
        routes=[
            WebSocketRoute("/v1/responses", serve_socket),
            *ResponseRoutes(services).routes(),
            *ChatCompletionRoutes(services).routes(),
            *ArchiveRoutes(services).routes(),
            *ConversationRoutes(services).routes(),
            *ModelRoutes(services).routes(),
            *HealthRoutes(services).routes(),
            *MetricsRoutes(services.metrics).routes(),
            *page.routes(),
            WebSocketRoute("/{path:path}", _refuse_socket),
        ],
        middleware=[
            Middleware(PresenceMiddleware, presence=presence or Presence()),
            cors,
            Middleware(ServerErrorMiddleware, handler=tell_error),  # behind `cors`, or no page could read what it says
            guard,
        ],
        exception_handlers=dict.fromkeys((ProtocolError, StorageError, HTTPException), tell_error),
    )


async def _refuse_socket(socket: WebSocket) -> None:
    """Answer a handshake on any other path with 404; Starlette's own answer, 403, looks like a wrong key."""
    told = NotFound("unknown_route", f"there is no WebSocket {socket.scope['path']}; {TURNS_GO}")
    await socket.send_denial_response(JSONResponse({"error": told.body()}, told.status))
