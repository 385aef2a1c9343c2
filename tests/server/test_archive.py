"""What was exported can be imported, and is then what it was."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatbot.conversation.imported import read_line
from chatbot.server import archive, lines
from tests.fake_engine import FakeEngine
from tests.live_server import live_server


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Another server, which has nothing."""
    async with (
        live_server(tmp_path / "other", FakeEngine()) as url,
        httpx.AsyncClient(base_url=url, timeout=10, verify=False) as client,
    ):
        yield client


async def exported(http: httpx.AsyncClient, conversation_id: str = "") -> list[dict[str, Any]]:
    answer = await http.get(
        f"/v1/conversations/{conversation_id}/export" if conversation_id else "/v1/conversations/export"
    )
    assert answer.headers["content-type"] == "application/jsonl"
    return [json.loads(line) for line in answer.text.split("\n")[:-1]]


async def imported(http: httpx.AsyncClient, *told: object) -> Any:
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in told)
    return (await http.post("/v1/conversations/import", content=body)).json()


async def turn(http: httpx.AsyncClient, said: str, **fields: object) -> Any:
    return (await http.post("/v1/responses", json={"input": said, **fields})).json()


async def branched(http: httpx.AsyncClient) -> str:
    """A conversation where both a message and a reply have another version, and one message was deleted."""
    fields = {"title": "Sea", "metadata": {"topic": "boats"}, "instructions": "Be brief."}
    conversation_id: str = (await http.post("/v1/conversations", json=fields)).json()["id"]
    first = await turn(http, "ahoy", conversation=conversation_id)
    await turn(http, "who are you?", previous_response_id=first["id"])
    await turn(http, "who am I?", previous_response_id=first["id"])
    last = await turn(http, "say it again", conversation=conversation_id)
    await http.delete(f"/v1/conversations/{conversation_id}/items/{last['output'][0]['id']}")
    await turn(http, "hello", conversation=conversation_id, parent_item_id=None)
    return conversation_id


async def test_what_is_exported_is_the_same_after_an_import(http: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    await branched(http)
    await http.post("/v1/conversations", json={})
    await http.post("/v1/conversations", json={"items": [{"role": "system", "content": "Rhyme.\u2028\u0000"}]})
    told = await exported(http)
    assert [len(line["messages"]) for line in told] == [2, 0, 1]
    assert len(told[0]["branches"]) == 7
    assert (await imported(other, *told))["imported"] == 3
    said = [*told[0]["messages"], *told[0]["branches"]]
    for place, each in enumerate(sorted(said, key=itemgetter("position"))):
        each["position"] = place  # the deleted one's is free again
    assert await exported(other) == told


async def test_an_imported_conversation_goes_on_from_everywhere(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    conversation_id = await branched(http)
    (told,) = await exported(http, conversation_id)
    await imported(other, told)
    reply = told["branches"][1]
    response = (await other.get(f"/v1/responses/{reply['response_id']}")).json()
    assert (response["model"], response["status"], response["output"][0]["content"][0]["text"]) == (
        "fake",
        "completed",
        reply["content"],
    )
    asked = (await other.get(f"/v1/responses/{reply['response_id']}/input_items")).json()["data"]
    assert [item["id"] for item in asked] == [told["branches"][0]["id"]]
    await turn(other, "and now?", previous_response_id=reply["response_id"])
    items = (await other.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})).json()["data"]
    assert [item["content"][0]["text"] for item in items] == [
        "ahoy",
        "you said: ahoy",
        "and now?",
        "you said: and now?",
    ]


async def test_a_repeated_import_adds_nothing_and_that_of_a_hidden_one_lists_it(http: httpx.AsyncClient) -> None:
    line = {"messages": [{"role": "user", "content": "My boat is called Ada, and she is fast."}]}
    first = await imported(http, line, "", line)
    again = await imported(http, line)
    assert (first["imported"], first["known"], again["imported"], again["known"]) == (1, 1, 0, 1)
    assert first["ids"] == [*again["ids"], *again["ids"]]
    (listed,) = (await http.get("/v1/conversations")).json()["data"]
    assert (listed["id"], listed["title"]) == (again["ids"][0], "My boat is called Ada, and she is fast.")
    (own,) = await exported(http)
    assert (await imported(http, own))["known"] == 1
    hidden = await exported(http, (await turn(http, "hi"))["conversation"]["id"])
    assert await exported(http) == [own]
    assert [(await imported(http, *hidden))["imported"] for _ in range(2)] == [1, 0]
    assert await exported(http) == [own, *hidden]


async def test_a_line_without_its_id_is_a_copy(http: httpx.AsyncClient) -> None:
    conversation_id = await branched(http)
    (told,) = await exported(http, conversation_id)
    copy = {name: value for name, value in told.items() if name != "id"}
    assert (await imported(http, copy))["imported"] == 1
    original, copied = await exported(http)
    assert [each["content"] for each in original["branches"]] == [each["content"] for each in copied["branches"]]
    error = (await imported(http, {**told, "id": "conv_mine"}))["errors"][0]
    assert (error["code"], error["param"]) == ("id_taken", "id")
    assert "leave out the id" in error["message"]


async def test_numbers_for_ids_and_milliseconds_are_those_of_another_program(http: httpx.AsyncClient) -> None:
    time_ms = 1_790_000_000_999
    messages = [message("one", id=1, created_at=time_ms), message("two", id=2), message("three", id=3, parent_id=1)]
    assert (await imported(http, {"id": 7, "created_at": time_ms, "messages": messages}))["imported"] == 1
    (told,) = await exported(http)
    assert told["created_at"] == told["messages"][0]["created_at"] == 1_790_000_000
    assert [each["content"] for each in told["messages"]] == ["one", "three"]
    assert [each["content"] for each in told["branches"]] == ["two"]
    assert told["branches"][0]["parent_id"] == told["messages"][0]["id"]


def message(text: str = "hi", **fields: object) -> dict[str, object]:
    return {"role": "user", "content": text, **fields}


async def test_lines_of_several_imports_are_parsed_one_by_one(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_free = threading.Lock()

    def alone(line: bytes, now: int) -> Any:
        assert is_free.acquire(blocking=False)
        try:
            return read_line(line, now)
        finally:
            is_free.release()

    monkeypatch.setattr(archive, "read_line", alone)
    texts = [[message(f"{text} {n}") for n in range(2_000)] for text in ("one", "two", "three")]
    answers = await asyncio.gather(*(imported(http, {"messages": messages}) for messages in texts))
    assert [answer["imported"] for answer in answers] == [1, 1, 1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object, got list"),
        ({"title": "x"}, "messages: Field required"),
        ({"messages": [{"content": "hi"}]}, "messages.0.role: Field required"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages.0.role: Input should be 'user', 'assistant'"),
        ({"messages": [message(created_at="today")]}, "messages.0.created_at: Input should be a valid integer"),
        ({"created_at": 2**63, "messages": []}, f"created_at: Input should be less than {2**63}"),
        ({"messages": [message(id="a"), message(parent_id="b")]}, "messages.1.parent_id: expected the id of a message"),
        ({"messages": [message(id="a", parent_id="b"), message(id="b")]}, "messages.0.parent_id: expected the id"),
        (
            {"id": "conv_1", "messages": [message(id="msg_1"), message(id="msg_1")]},
            "messages.1.id: expected an id that no other",
        ),
        ({"messages": [message(position=1), message(position=1)]}, "messages.1.position: expected a place that no"),
    ],
)
async def test_a_wrong_line_is_told_and_loses_nothing_of_the_others(
    http: httpx.AsyncClient, line: object, told: str
) -> None:
    answer = await imported(http, {"messages": [message("one")]}, "", line, {"messages": [message("two")]})
    assert (answer["imported"], answer["wrong"], answer["errors"][0]["line"]) == (2, 1, 3)
    assert answer["errors"][0]["message"].startswith(told)
    assert [line["messages"][0]["content"] for line in await exported(http)] == ["one", "two"]


async def test_of_many_wrong_lines_some_are_told_and_all_counted(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_ERRORS", 2)
    answer = await imported(http, *"abc")
    assert (answer["wrong"], [error["line"] for error in answer["errors"]]) == (3, [1, 2])


async def test_a_line_that_is_too_long_is_left_out(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    answer = await imported(http, {"messages": [message("x" * 200)]}, {"messages": [message("one")]})
    assert (answer["imported"], answer["errors"][0]["code"]) == (1, "line_too_large")


async def test_a_reply_on_its_way_is_exported_as_one_that_was_cut_off(
    http: httpx.AsyncClient, other: httpx.AsyncClient, engine: FakeEngine
) -> None:
    conversation_id = (await http.post("/v1/conversations", json={})).json()["id"]
    engine.free = 1
    await turn(http, "hi", conversation=conversation_id, background=True)
    while not (told := (await exported(http, conversation_id))[0])["messages"][1]["content"]:
        await asyncio.sleep(0.01)
    assert told["messages"][1]["status"] == "incomplete"
    await imported(other, told)
    assert await exported(other) == [told]


async def test_export_of_what_is_not_there_is_told(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/conversations/conv_none/export")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "conversation_not_found")


async def test_who_asks_only_for_the_headers_of_an_export_has_nothing_read(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await branched(http)
    monkeypatch.setattr(archive, "in_large_pieces", None)
    for path in (f"/v1/conversations/{conversation}/export", "/v1/conversations/export"):
        answer = await http.head(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/jsonl"
        assert answer.headers["content-disposition"].startswith("attachment; filename=")


async def test_who_watches_hears_of_what_is_imported(url: str, http: httpx.AsyncClient) -> None:
    from chatbot.client import Client

    heard: asyncio.Queue[Any] = asyncio.Queue()
    async with Client(url, on_event=heard.put_nowait) as client:
        await client.watch()
        assert (await heard.get())["type"] == "chatbot:conversations.watched"
        (conversation_id,) = (await imported(http, {"messages": [message()]}))["ids"]
        assert (await heard.get())["conversation"]["id"] == conversation_id
