"""What the application serves, against what is written for those who use it."""

import re
from pathlib import Path

from starlette.routing import Route

from chatbot.server.app import create_app
from chatbot.server.services import open_services
from chatbot.settings import Settings
from tests.fake_engine import FakeEngine

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


async def test_every_route_is_described(tmp_path: Path) -> None:
    async with open_services(Settings(home=tmp_path), FakeEngine()) as services:
        routes = [route for route in create_app(services).routes if isinstance(route, Route)]
    served = {(method, route.path.replace(":path", "")) for route in routes for method in route.methods or ()}
    described = set(re.findall(r"`([A-Z]+) (/[^`?]*)`", PROTOCOL.read_text()))
    assert {(method, path) for method, path in served if method != "HEAD"} <= described
