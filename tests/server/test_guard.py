from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus

from chatbot.server.guard import Guard
from storage.store import Store
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.server.socket_client import frames

KEY = "sk-secret_1"


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[str]:
    async with live_server(tmp_path, FakeEngine(), api_key=KEY, allow_origin=["https://chat.example"]) as url:
        yield url


async def status_of(url: str, headers: dict[str, str], **options: Any) -> int:
    """The status with which a WebSocket handshake is answered."""
    try:
        async with frames(url, additional_headers=headers, **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("SELF", 101),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://127.0.0.1:1", 403),
    ],
)
async def test_only_its_own_pages_may_drive_a_server_from_a_browser(url: str, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"Origin": url if origin == "SELF" else origin}
    assert await status_of(url, headers) == status
    async with httpx.AsyncClient(base_url=url, verify=False) as http:
        answer = await http.get("/v1/models", headers=headers)
    assert (answer.status_code == 403) == (status == 403)


async def test_the_log_says_why_a_page_could_not_connect(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as log:
        assert await status_of(url, {"Origin": "http://localhost:3000"}) == 403
    (refused,) = [line for line in log if line["event"] == "refused"]
    assert (refused["log_level"], refused["code"]) == ("warning", "origin_not_allowed")
    assert "'http://localhost:3000' may not connect; start with --allow-origin" in refused["why"]
    assert not [
        record for record in caplog.records if record.name.startswith("uvicorn") and record.levelname == "ERROR"
    ]


async def test_the_log_says_why_a_page_was_told_not_to_send(guarded: str) -> None:
    preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    with capture_logs() as log:
        async with httpx.AsyncClient(base_url=guarded, verify=False) as http:
            assert (await http.options("/v1/responses", headers=preflight)).status_code == 400
            await http.options("/v1/responses", headers=preflight | {"Origin": "https://chat.example"})
    (refused,) = [line for line in log if line["event"] == "refused"]
    assert "'http://localhost:3000' may not connect; start with --allow-origin" in refused["why"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "a@localhost", "[::1", "[", "localhost:x", ""]
)
async def test_a_name_that_is_not_ours_is_not_served(url: str, host: str) -> None:
    async with httpx.AsyncClient(base_url=url, verify=False) as http:
        answer = await http.get("/health", headers={"Host": host})
    assert answer.status_code in (400, 403)


def test_an_ipv6_server_is_reached_by_its_own_name() -> None:
    guard = Guard(Starlette(), hosts=["fd00::1"], origins=[], api_key=None)
    for host in ("[fd00::1]:8765", "[fd00::1]", "localhost:1", "[::1]:80"):
        guard._check_host(host)


async def test_a_page_of_an_allowed_origin_may_use_http_too(guarded: str) -> None:
    page = {"Origin": "https://chat.example"}
    preflight = page | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    async with httpx.AsyncClient(base_url=guarded, verify=False) as http:
        answer = await http.options("/v1/responses", headers=preflight)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == page["Origin"]
        assert answer.headers["access-control-allow-private-network"] == "true"
        refused = await http.get("/v1/models", headers=page)
        assert refused.headers["access-control-allow-origin"] == page["Origin"]
        assert refused.headers["access-control-expose-headers"] == "Retry-After"


async def test_a_page_can_read_that_the_server_failed(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Store, "conversations", crash)
    headers = {"Origin": "https://chat.example", "Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=guarded, verify=False, headers=headers) as http:
        answer = await http.get("/v1/conversations")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "server_error")
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"


async def test_an_origin_written_with_a_slash_at_its_end_is_allowed_everywhere(tmp_path: Path) -> None:
    page = {"Origin": "http://localhost:3000"}
    async with live_server(tmp_path, FakeEngine(), allow_origin=["http://localhost:3000/"]) as url:
        assert await status_of(url, page) == 101
        async with httpx.AsyncClient(base_url=url, verify=False, headers=page) as http:
            assert (await http.get("/v1/models")).headers["access-control-allow-origin"] == page["Origin"]


async def test_an_allowed_origin_passes(guarded: str) -> None:
    headers = {"Origin": "https://chat.example", "Authorization": f"Bearer {KEY}"}
    assert await status_of(guarded, headers) == 101


async def test_without_the_key_nothing_but_health_answers(guarded: str) -> None:
    async with httpx.AsyncClient(base_url=guarded, verify=False) as http:
        assert (await http.get("/health")).status_code == 200
        for path in ("/v1/models", "/v1/conversations", "/v1/responses/x", "/nothing"):
            answer = await http.get(path, headers={"Authorization": "Bearer wrong"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
            assert "CHATBOT_API_KEY" in answer.json()["error"]["message"]
        for scheme in ("Bearer", "bearer", "BEARER"):  # RFC 9110: its case means nothing
            assert (await http.get("/v1/models", headers={"Authorization": f"{scheme} {KEY}"})).status_code == 200
    assert await status_of(guarded, {}) == 401


async def test_a_browser_can_send_the_key_as_a_subprotocol(guarded: str) -> None:
    offered: Any = ["responses", f"openai-insecure-api-key.{KEY}"]
    assert await status_of(guarded, {}, subprotocols=offered) == 101
    offered = ["responses", "openai-insecure-api-key.wrong"]
    assert await status_of(guarded, {}, subprotocols=offered) == 401
