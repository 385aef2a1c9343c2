import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatbot.engine.room import Room
from chatbot.server.app import create_app
from chatbot.server.services import Services, open_services
from chatbot.settings import Settings
from tests.fake_engine import FakeEngine


def events_of(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_a_turn_comes_back_as_one_object(http: httpx.AsyncClient) -> None:
    response = (await http.post("/v1/responses", json={"input": "hi"})).json()
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "you said: hi"


async def test_what_the_model_saw_can_be_asked_for(http: httpx.AsyncClient) -> None:
    response = (await http.post("/v1/responses", json={"input": "hi"})).json()
    context = response["chatbot"]["context"]
    items = (await http.get(f"/v1/responses/{response['id']}/input_items")).json()["data"]
    assert (context["kept"], context["dropped"]) == ([items[0]["id"]], 0)


async def test_a_turn_streams_as_server_sent_events_and_can_be_read_again(http: httpx.AsyncClient) -> None:
    live = events_of((await http.post("/v1/responses", json={"input": "hi", "stream": True})).text)
    response_id = live[0]["response"]["id"]
    again = await http.get(f"/v1/responses/{response_id}", params={"stream": "true"})
    assert events_of(again.text) == live
    rest = await http.get(f"/v1/responses/{response_id}", params={"stream": "true", "starting_after": "4"})
    assert events_of(rest.text) == live[5:]


async def test_what_a_client_may_take_for_the_end_of_a_line_ends_none(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    text = "one\u2028two\u2029three\u0085four ünd \N{PARROT}"
    engine.reply = lambda request: [text]
    events = events_of((await http.post("/v1/responses", json={"input": "hi", "stream": True})).text)
    assert [event["delta"] for event in events if "delta" in event] == [text]


@pytest.mark.parametrize(("last_seen", "place"), [("4", 4), ("0", 0), ("", -1), ("of another server", -1)])
async def test_a_browser_that_lost_a_stream_goes_on_by_itself(
    http: httpx.AsyncClient, last_seen: str, place: int
) -> None:
    stream = (await http.post("/v1/responses", json={"input": "hi", "stream": True})).text
    live = events_of(stream)
    assert [line for line in stream.splitlines() if line.startswith("id:")] == [f"id: {n}" for n in range(len(live))]
    address = f"/v1/responses/{live[0]['response']['id']}?stream=true"
    assert events_of((await http.get(address, headers={"Last-Event-ID": last_seen})).text) == live[place + 1 :]


@pytest.mark.parametrize(("given", "status"), [("True", 200), ("false", 200), ("1", 400), ("yes", 400)])
async def test_stream_is_true_or_false(http: httpx.AsyncClient, given: str, status: int) -> None:
    response_id = (await http.post("/v1/responses", json={"input": "hi"})).json()["id"]
    answer = await http.get(f"/v1/responses/{response_id}", params={"stream": given})
    is_streamed = answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.status_code, is_streamed) == (status, given == "True")


async def test_a_background_turn_is_acknowledged_at_once_and_found_later(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.free = 0
    created = (await http.post("/v1/responses", json={"input": "hi", "background": True})).json()
    assert created["status"] in ("queued", "in_progress")
    engine.gate.set()
    await http.get(f"/v1/responses/{created['id']}", params={"stream": "true"})
    assert (await http.get(f"/v1/responses/{created['id']}")).json()["status"] == "completed"


async def test_cancel_over_http_ends_a_running_reply(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.free = 1
    created = (await http.post("/v1/responses", json={"input": "hi", "background": True})).json()
    cancelled = (await http.post(f"/v1/responses/{created['id']}/cancel")).json()
    assert cancelled["status"] == "cancelled"


async def test_the_same_idempotency_key_gives_one_response(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    headers = {"Idempotency-Key": "k1"}
    posts = [http.post("/v1/responses", json={"input": "hi"}, headers=headers) for _ in range(5)]
    ids = {answer.json()["id"] for answer in await asyncio.gather(*posts)}
    assert len(ids) == len(engine.requests) == 1
    other = await http.post("/v1/responses", json={"input": "bye"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")


async def test_an_empty_idempotency_key_is_refused_and_not_taken_for_none(http: httpx.AsyncClient) -> None:
    for given in ({"idempotency_key": ""}, {"metadata": {"idempotency_key": ""}}):
        answer = await http.post("/v1/responses", json={"input": "hi"} | given)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_parameter", "idempotency_key")


async def test_a_client_that_goes_away_loses_nothing(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.free = 1
    async with http.stream("POST", "/v1/responses", json={"input": "hi", "stream": True}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                response_id = json.loads(line.removeprefix("data: "))["response"]["id"]
                break
    engine.gate.set()
    await http.get(f"/v1/responses/{response_id}", params={"stream": "true"})
    assert (await http.get(f"/v1/responses/{response_id}")).json()["status"] == "completed"


async def test_an_unstored_reply_ends_with_its_client(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.free = 1
    body = {"input": "hi", "stream": True, "store": False}
    async with http.stream("POST", "/v1/responses", json=body) as stream:
        async for line in stream.aiter_lines():
            if "output_text.delta" in line:
                break
    while not engine.cancelled:
        await asyncio.sleep(0.01)


async def test_an_unstored_reply_can_be_deleted_while_it_runs(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.free = 0
    async with http.stream("POST", "/v1/responses", json={"input": "hi", "stream": True, "store": False}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                response_id = json.loads(line.removeprefix("data: "))["response"]["id"]
                break
        assert (await http.delete(f"/v1/responses/{response_id}")).json()["deleted"] is True
    assert (await http.delete(f"/v1/responses/{response_id}")).status_code == 404


async def test_an_unstored_reply_that_nobody_waits_for_ends(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.free = 1
    asking = asyncio.create_task(http.post("/v1/responses", json={"input": "hi", "store": False}))
    while not engine.requests:
        await asyncio.sleep(0.01)
    asking.cancel()
    while not engine.cancelled:
        await asyncio.sleep(0.01)


async def leave_before_the_first_event(services: Services, body: dict[str, Any]) -> None:
    """Ask for a stream as a client that takes in not even its headers, and goes."""
    messages = iter([{"type": "http.request", "body": json.dumps(body | {"stream": True}).encode()}])

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(_: object) -> None:
        await asyncio.Event().wait()

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": headers}
    await create_app(services)(scope, receive, send)


async def test_an_unstored_reply_ends_if_its_client_left_before_the_first_event(
    tmp_path: Path, engine: FakeEngine
) -> None:
    engine.free = 0
    async with open_services(Settings(home=tmp_path), lambda: engine) as services:
        await leave_before_the_first_event(services, {"input": "hi", "store": False})
        while services.turns.running_count:
            await asyncio.sleep(0)


async def test_a_stored_reply_goes_on_if_its_client_left_before_the_first_event(
    tmp_path: Path, engine: FakeEngine
) -> None:
    engine.free = 0
    async with open_services(Settings(home=tmp_path), lambda: engine) as services:
        await leave_before_the_first_event(services, {"input": "hi"})
        while not engine.requests:
            await asyncio.sleep(0)
        [running] = services.turns.running_in(engine.requests[0].session)
        engine.gate.set()
        assert (await running.wait_closed()).state == "completed"


@pytest.mark.parametrize(
    ("query", "texts", "has_more"),
    [
        ({}, ["c", "b", "a"], False),
        ({"order": "asc"}, ["a", "b", "c"], False),
        ({"limit": 2}, ["c", "b"], True),
        ({"limit": 1, "order": "asc", "after": 0}, ["b"], True),
        ({"after": 1}, ["a"], False),
        ({"after": 0}, [], False),
    ],
)
async def test_input_items_come_in_pages(
    http: httpx.AsyncClient, query: dict[str, Any], texts: list[str], has_more: bool
) -> None:
    said = [{"role": "user", "content": text} for text in "abc"]
    address = f"/v1/responses/{(await http.post('/v1/responses', json={'input': said})).json()['id']}/input_items"
    ids = [item["id"] for item in (await http.get(address, params={"order": "asc"})).json()["data"]]
    params = query | ({"after": ids[query["after"]]} if "after" in query else {})
    listed = (await http.get(address, params=params)).json()
    assert ([item["content"][0]["text"] for item in listed["data"]], listed["has_more"]) == (texts, has_more)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_parameter"),
        ("limit=1_0", "invalid_parameter"),
        ("limit=٣", "invalid_parameter"),
        ("order=up", "invalid_parameter"),
        ("after=x", "item_not_found"),
    ],
)
async def test_a_wrong_page_of_input_items_is_refused(http: httpx.AsyncClient, query: str, code: str) -> None:
    response_id = (await http.post("/v1/responses", json={"input": "hi"})).json()["id"]
    error = (await http.get(f"/v1/responses/{response_id}/input_items?{query}")).json()["error"]
    assert (error["code"], error["param"]) == (code, query.partition("=")[0])


async def test_input_items_and_deletion(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    response_id = (await http.post("/v1/responses", json={"input": "hi"})).json()["id"]
    items = (await http.get(f"/v1/responses/{response_id}/input_items")).json()["data"]
    assert [item["content"][0]["text"] for item in items] == ["hi"]
    assert (await http.delete(f"/v1/responses/{response_id}")).json()["deleted"] is True
    assert set(engine.forgotten) == {engine.requests[0].session}
    assert (await http.get(f"/v1/responses/{response_id}")).status_code == 404


async def test_a_reply_goes_on_though_the_response_before_it_is_deleted(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    first = (await http.post("/v1/responses", json={"input": "one", "conversation": conversation})).json()["id"]
    engine.free = 0
    body = {"input": "two", "conversation": conversation, "stream": True}
    async with http.stream("POST", "/v1/responses", json=body) as streamed:
        lines = streamed.aiter_lines()
        while "response.output_item.added" not in await anext(lines):  # from here on the model sees the first reply
            pass
        assert (await http.delete(f"/v1/responses/{first}")).json()["deleted"] is True
        engine.gate.set()
        assert "response.completed" in [line.removeprefix("event: ") async for line in lines]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/responses", b"{", 400, "invalid_json"),
        ("POST", "/v1/responses", b"", 400, "missing_required_parameter"),
        ("POST", "/v1/responses", b'{"input": "' + b"x" * 300_000 + b'"}', 413, "body_too_large"),
        ("GET", "/v1/responses/resp_none", b"", 404, "response_not_found"),
        ("GET", "/v1/nothing", b"", 404, "unknown_route"),
        ("PUT", "/v1/responses", b"", 405, "unknown_route"),
        ("GET", "/v1/models/none", b"", 404, "model_not_found"),
    ],
)
async def test_every_error_has_one_form(
    http: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    answer = await http.request(method, path, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/v1/completions", 404), ("GET", "/v1/responses", 405)]
)
async def test_who_asks_at_the_wrong_place_is_told_the_right_one(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(f"there is no {method} {path}; a turn is POST /v1/responses")


async def test_a_fault_of_the_server_is_told_without_its_insides(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.reply = lambda request: ["so", RuntimeError("secret path")]
    answer = await http.post("/v1/responses", json={"input": "hi"})
    assert answer.json()["status"] == "failed"
    assert answer.json()["error"]["code"] == "server_error"
    assert "secret" not in answer.text


async def test_a_full_engine_is_told_with_when_to_come_back(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.room = Room(0, 0)
    answer = await http.post("/v1/responses", json={"input": "hi"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "engine_busy")
    assert answer.headers["retry-after"] == "1"


async def test_the_engine_hears_who_asks(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    for said in ({}, {"user": "mira"}, {"user": "mira", "safety_identifier": "m1"}):
        body = (await http.post("/v1/responses", json={"input": "hi"} | said)).json()
        assert (body["user"], body["safety_identifier"]) == (said.get("user"), said.get("safety_identifier"))
    assert [request.user for request in engine.requests] == [None, "mira", "m1"]
