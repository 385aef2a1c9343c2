"""`/health`: the process lives. `/ready`: a turn sent now would be answered; if not, it says why.

Both are open without a key: they are for whatever starts, stops and routes to servers.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatbot import __version__
from chatbot.server.services import Services

DRAINING = "the server is stopping"


class HealthRoutes:
    """Endpoints of `/health` and `/ready`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [Route("/health", self.health), Route("/ready", self.ready)]

    async def health(self, _: Request) -> Response:
        model = self._services.engine.base.name
        return JSONResponse({"status": "ok", "version": __version__, "model": model})

    async def ready(self, _: Request) -> Response:
        turns = self._services.turns
        if turns.is_draining:
            return JSONResponse({"ready": False, "status": "draining", "reason": DRAINING}, 503)
        engine = self._services.engine.health()
        if not engine.is_ready:
            return JSONResponse({"ready": False, "status": engine.status, "reason": engine.reason}, 503)
        return JSONResponse({"ready": True, "status": "ready", "running": turns.running_count})
