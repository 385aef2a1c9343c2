"""What the application serves, against what is written for those who use it."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route
from websockets.exceptions import InvalidStatus

from chatbot.server.app import create_app
from chatbot.server.services import open_services
from chatbot.settings import Settings
from tests.fake_engine import FakeEngine
from tests.server.socket_client import frames

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


async def test_every_route_is_described(tmp_path: Path) -> None:
    async with open_services(Settings(home=tmp_path), FakeEngine) as services:
        routes = [route for route in create_app(services).routes if isinstance(route, Route)]
    served = {(method, re.sub(":[a-z_]+", "", route.path)) for route in routes for method in route.methods or ()}
    described = set(re.findall(r"`([A-Z]+) (/[^`?]*)`", PROTOCOL.read_text()))
    assert {(method, path) for method, path in served if method != "HEAD"} <= described


@pytest.mark.parametrize("path", ["/v1/models", "/v1/conversations"])
async def test_every_list_has_the_same_form(http: httpx.AsyncClient, path: str) -> None:
    assert set((await http.get(path)).json()) == {"object", "data", "has_more", "first_id", "last_id"}


async def test_a_socket_on_another_path_is_told_the_right_one(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with frames(f"{url}/v1"):
            pass
    assert refused.value.response.status_code == 404
    assert b"there is no WebSocket /v1/v1/responses; a turn is POST /v1/responses" in refused.value.response.body


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/fake", "/v1/conversations"])
async def test_a_slash_at_the_end_changes_nothing(http: httpx.AsyncClient, path: str) -> None:
    plain, slashed = [await http.get(path + slash, follow_redirects=True) for slash in ("", "/")]
    assert (slashed.status_code, slashed.json()) == (200, plain.json())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/conversations", "GET, HEAD, POST"),
        ("POST", "/v1/models/pirate", "GET, HEAD"),
        ("GET", "/v1/conversations/import", "POST"),
        ("DELETE", "/v1/conversations/export", "GET, HEAD"),
        ("PUT", "/v1/conversations/conv_1/export", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_route_lacks_is_answered_with_those_it_has(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
