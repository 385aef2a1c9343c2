"""A server is of use before its model is loaded."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from chatbot.engine.base import ModelNotFound
from chatbot.server import run
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.server.socket_client import frames
from tests.slow_loading import SlowLoading


@pytest.fixture
async def engine() -> AsyncIterator[SlowLoading]:
    engine = SlowLoading(FakeEngine(context_tokens=100))
    yield engine
    engine.may_load.set()


async def test_what_is_said_is_kept_at_once_and_answered_once_the_model_is_loaded(
    tmp_path: Path, engine: SlowLoading
) -> None:
    async with (
        live_server(tmp_path, engine) as url,
        httpx.AsyncClient(base_url=url, verify=False) as http,
        frames(url) as socket,
    ):
        assert (await http.get("/ready")).json() == {
            "ready": False,
            "status": "loading",
            "reason": "the model is being loaded",
        }
        assert [model["id"] for model in (await http.get("/v1/models")).json()["data"]] == ["fake"]
        await socket.send(type="response.create", input="hello")
        created = (await socket.until("response.created"))[-1]["response"]
        assert (await socket.read())["waits_for"] == "model"
        items = await http.get(f"/v1/conversations/{created['conversation']['id']}/items")
        assert [item["content"][0]["text"] for item in items.json()["data"] if item["role"] == "user"] == ["hello"]
        await engine.loads()
        last = (await socket.until("response.completed"))[-1]["response"]
        assert last["output"][0]["content"][0]["text"] == "you said: hello"
        assert (await http.get("/ready")).json()["status"] == "ready"


async def test_what_turns_out_to_be_too_long_once_it_can_be_counted_fails(tmp_path: Path, engine: SlowLoading) -> None:
    async with live_server(tmp_path, engine) as url, frames(url) as socket:
        await socket.send(type="response.create", input="word " * 200)
        await socket.until("response.created")
        await engine.loads()
        last = (await socket.until("response.failed"))[-1]["response"]
        assert last["error"]["code"] == "context_length_exceeded"


async def test_a_server_whose_model_cannot_be_loaded_says_so_and_stops(tmp_path: Path) -> None:
    engine = SlowLoading(FakeEngine(), ModelNotFound("the weights are broken"))
    with pytest.raises(ModelNotFound, match="the weights are broken"):
        async with live_server(tmp_path, engine) as url, frames(url) as socket:
            await socket.send(type="response.create", input="hello")
            await socket.until("response.created")
            await engine.loads()
            last = (await socket.until("response.failed"))[-1]["response"]
            assert last["error"] == {"code": "model_not_loaded", "message": "the weights are broken"}


async def test_one_in_the_background_stays_for_as_long_as_somebody_reads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LAST_LOOK_S", 0.2)
    engine = SlowLoading(FakeEngine(), ModelNotFound("the weights are broken"))
    with pytest.raises(ModelNotFound):
        async with live_server(tmp_path, engine, is_background=True) as url:
            async with frames(url) as socket:
                await engine.loads()
                await asyncio.sleep(0)
                last = (await socket.turn("hello"))[-1]["response"]
                assert last["error"]["code"] == "model_not_loaded"
            with pytest.raises(ConnectionError):
                while True:
                    await knock(url)


async def knock(url: str) -> None:
    """Raise ConnectionError unless something listens there; whoever asks for nothing does not count as a client."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.close()
    await writer.wait_closed()
