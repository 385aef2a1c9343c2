"""`/health` says that the process lives, `/ready` whether a turn would be answered."""

import asyncio
import json
from types import SimpleNamespace
from typing import cast

import httpx
from starlette.requests import Request

from chatbot.engine.base import GenerationFailed
from chatbot.server.health import DRAINING, HealthRoutes
from chatbot.server.services import Services
from tests.fake_engine import FakeEngine


async def test_health_names_the_model(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health")).json()["model"] == "fake"


async def test_a_server_whose_engine_answers_is_ready(http: httpx.AsyncClient) -> None:
    answer = await http.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "status": "ready", "running": 0}


async def test_a_stuck_engine_is_told_with_its_reason_and_is_no_reason_to_kill_the_process(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.trouble = "a step of the engine has been running for 61 s, over the limit of 60 s"
    answer = await http.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "status": "engine_failed", "reason": engine.trouble}
    assert (await http.get("/health")).status_code == 200
    engine.trouble = ""
    assert (await http.get("/ready")).status_code == 200


async def test_a_reply_that_a_restart_of_the_engine_cut_off_fails_and_keeps_its_text(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.reply = lambda _: ["half a ", "word", GenerationFailed("a step of the engine has been running for 61 s")]
    body = (await http.post("/v1/responses", json={"input": "hi"})).json()
    assert body["status"] == "failed"
    assert body["error"]["code"] == "generation_failed"
    stored = (await http.get(f"/v1/responses/{body['id']}")).json()
    assert stored["output"][0]["content"][0]["text"] == "half a word"


async def test_running_replies_are_counted(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.free = 1
    running = asyncio.create_task(http.post("/v1/responses", json={"input": "hi"}))
    while not engine.requests:
        await asyncio.sleep(0)
    assert (await http.get("/ready")).json()["running"] == 1
    engine.gate.set()
    assert (await running).status_code == 200


async def test_a_stopping_server_is_not_ready(engine: FakeEngine) -> None:
    services = SimpleNamespace(engine=engine, turns=SimpleNamespace(is_draining=True))
    answer = await HealthRoutes(cast("Services", services)).ready(Request({"type": "http"}))
    assert answer.status_code == 503
    assert json.loads(bytes(answer.body)) == {"ready": False, "status": "draining", "reason": DRAINING}
