"""`/v1/models`: the base model, and one entry for each persona."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatbot.conversation.personas import Persona
from chatbot.protocol.resources import page
from chatbot.server.services import Services


class ModelRoutes:
    """Endpoints of `/v1/models`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self.list, methods=["GET"]),
            Route("/v1/models/{id:path}", self.retrieve, methods=["GET"]),
        ]

    async def list(self, request: Request) -> Response:
        models = [_resource(persona) for persona in await self._services.personas.all()]
        return JSONResponse(page(models, has_more=False))

    async def retrieve(self, request: Request) -> Response:
        name = request.path_params["id"].rstrip("/")
        if not name:
            return await self.list(request)
        return JSONResponse(_resource(await self._services.personas.resolve(name)))


def _resource(persona: Persona) -> dict[str, Any]:
    return {
        "id": persona.name,
        "object": "model",
        "created": persona.created_at,
        "owned_by": "chatbot",
        "chatbot": {
            "persona": persona.folder is not None,
            "description": persona.description,
            "version": persona.version,
        },
    }
