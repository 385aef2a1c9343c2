import asyncio
from typing import Any

import httpx
import pytest

from chatbot.client.http_api import HttpApi
from storage.store import Store
from tests.fake_engine import FakeEngine


async def new(http: httpx.AsyncClient, **fields: object) -> str:
    conversation_id: str = (await http.post("/v1/conversations", json=fields)).json()["id"]
    return conversation_id


async def texts(http: httpx.AsyncClient, conversation_id: str, **query: str) -> list[str]:
    page = (await http.get(f"/v1/conversations/{conversation_id}/items", params=query)).json()
    return [item["content"][0]["text"] for item in page["data"]]


async def test_a_conversation_is_made_found_changed_and_deleted(http: httpx.AsyncClient) -> None:
    conversation_id = await new(http, metadata={"topic": "boats"})
    path = f"/v1/conversations/{conversation_id}"
    changed = (await http.post(path, json={"metadata": {"topic": "ships"}, "title": "Ships"})).json()
    assert (changed["metadata"], changed["title"]) == ({"topic": "ships"}, "Ships")
    assert (await http.get(path)).json() == changed
    assert (await http.delete(path)).json()["object"] == "conversation.deleted"
    assert (await http.get(path)).json()["error"]["code"] == "conversation_not_found"


async def test_a_key_makes_one_conversation_however_often_it_comes(http: httpx.AsyncClient) -> None:
    async def make(key: str, title: str) -> dict[str, Any]:
        made = await http.post("/v1/conversations", json={"title": title}, headers={"Idempotency-Key": key})
        body: dict[str, Any] = made.json()
        return body

    first, again, other = await make("a", "One"), await make("a", "Renamed since"), await make("b", "Two")
    assert first == again
    assert [each["id"] for each in (await http.get("/v1/conversations")).json()["data"]] == [other["id"], first["id"]]
    assert (await make("", "Three"))["error"]["code"] == "invalid_parameter"


async def test_the_newest_conversation_is_listed_first_page_by_page(http: httpx.AsyncClient) -> None:
    made = [await new(http, title=str(number)) for number in range(5)]
    await http.post("/v1/responses", json={"input": "hi", "conversation": made[1]})
    first = (await http.get("/v1/conversations", params={"limit": "2"})).json()
    assert [entry["id"] for entry in first["data"]] == [made[1], made[4]]
    assert first["has_more"] is True
    rest = (await http.get("/v1/conversations", params={"after": first["last_id"]})).json()
    assert [entry["id"] for entry in rest["data"]] == [made[3], made[2], made[0]]
    assert rest["has_more"] is False


async def test_the_next_page_begins_where_the_last_one_ended_though_its_last_conversation_is_deleted(
    http: httpx.AsyncClient,
) -> None:
    made = [await new(http) for _ in range(3)]
    first = (await http.get("/v1/conversations", params={"limit": "2"})).json()
    await http.delete(f"/v1/conversations/{made[1]}")
    rest = (await http.get("/v1/conversations", params={"before": first["data"][-1]["change"]})).json()
    assert [entry["id"] for entry in rest["data"]] == [made[0]]
    refused = (await http.get("/v1/conversations", params={"before": "x"})).json()
    assert (refused["error"]["code"], refused["error"]["param"]) == ("invalid_parameter", "before")


async def test_a_client_finds_what_was_said(url: str, http: httpx.AsyncClient) -> None:
    for title, said in (("Sea", "my sister sails"), ("Hill", "my mother walks"), ("Sister", "nothing")):
        await http.post("/v1/responses", json={"input": said, "conversation": await new(http, title=title)})
    client = HttpApi(None, url=lambda: url, wait_live=lambda: asyncio.sleep(0))
    found = await client.conversations(search="sister", limit=1)
    assert ([entry["title"] for entry in found.data], found.has_more) == (["Sister"], True)
    rest = await client.conversations(search="sister", before=found.data[-1]["change"])
    assert [entry["title"] for entry in rest.data] == ["Sea"]
    assert [entry["title"] for entry in (await client.conversations(search="walks said")).data] == ["Hill"]
    await client._close_http()


async def test_a_search_tells_the_newest_message_that_has_the_words(url: str, http: httpx.AsyncClient) -> None:
    before = [{"role": "user", "content": "my sister sails"}, {"role": "assistant", "content": "Far?"}]
    conversation = await new(http, title="Sister", items=before)
    await http.post("/v1/responses", json={"input": "she is my older sister", "conversation": conversation})
    items = (await http.get(f"/v1/conversations/{conversation}/items")).json()["data"]

    async def found(**query: str) -> object:
        return (await http.get("/v1/conversations", params=query)).json()["data"][0].get("found", "not told")

    said = {item["content"][0]["text"]: item["id"] for item in items}
    assert await found(search="sails sister") == {"item_id": said["my sister sails"], "passage": "my sister sails"}
    assert await found(search="OLDER") == {
        "item_id": said["you said: she is my older sister"],
        "passage": "you said: she is my older sister",
    }
    await new(http, title="Only in the title")
    assert await found(search="only title") is None
    assert await found() == "not told"


async def test_a_client_finds_a_title_however_many_conversations_there_are(url: str, http: httpx.AsyncClient) -> None:
    for number in range(3):
        await new(http, title=str(number))
    listed = (await http.get("/v1/conversations", params={"title": "0", "limit": "1"})).json()
    assert ([entry["title"] for entry in listed["data"]], listed["has_more"]) == (["0"], False)
    client = HttpApi(None, url=lambda: url, wait_live=lambda: asyncio.sleep(0))
    assert (await client.conversation_titled("0") or {})["title"] == "0"
    assert await client.conversation_titled("none") is None
    await client._close_http()


async def test_a_response_without_a_conversation_is_not_listed(http: httpx.AsyncClient) -> None:
    await http.post("/v1/responses", json={"input": "hi"})
    assert (await http.get("/v1/conversations")).json()["data"] == []


async def test_items_are_added_read_in_both_orders_and_deleted(http: httpx.AsyncClient) -> None:
    conversation_id = await new(http, items=[{"role": "user", "content": "one"}])
    path = f"/v1/conversations/{conversation_id}/items"
    added = (await http.post(path, json={"items": [{"role": "assistant", "content": "two"}]})).json()
    await http.post("/v1/responses", json={"input": "three", "conversation": conversation_id})
    assert await texts(http, conversation_id, order="asc") == ["one", "two", "three", "you said: three"]
    assert await texts(http, conversation_id, limit="2") == ["you said: three", "three"]
    item_id = added["data"][0]["id"]
    assert (await http.get(f"{path}/{item_id}")).json()["content"][0]["text"] == "two"
    assert (await http.delete(f"{path}/{item_id}")).json()["id"] == conversation_id
    assert await texts(http, conversation_id, order="asc") == ["one", "three", "you said: three"]


async def test_the_engine_forgets_what_is_deleted(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    conversation_id = await new(http, items=[{"role": "user", "content": "one"}])
    path = f"/v1/conversations/{conversation_id}"
    item = (await http.get(f"{path}/items")).json()["data"][0]
    await http.delete(f"{path}/items/{item['id']}")
    assert set(engine.forgotten) == {conversation_id}
    engine.forgotten.clear()
    await http.delete(path)
    assert set(engine.forgotten) == {conversation_id}


async def _begin_reply(http: httpx.AsyncClient, engine: FakeEngine, conversation_id: str) -> str:
    """Return the id of a reply that the engine works on."""
    asked = len(engine.requests)
    body = {"input": "go on", "conversation": conversation_id, "background": True}
    response_id: str = (await http.post("/v1/responses", json=body)).json()["id"]
    while len(engine.requests) == asked:
        await asyncio.sleep(0)
    return response_id


@pytest.mark.parametrize("begins", ["before the deletion", "while the message is being deleted"])
async def test_a_reply_that_shows_the_model_a_deleted_message_is_stopped(
    http: httpx.AsyncClient, engine: FakeEngine, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation_id = await new(http, items=[{"role": "user", "content": "my pin is 4711"}])
    path = f"/v1/conversations/{conversation_id}/items"
    secret = (await http.get(path)).json()["data"][0]["id"]
    engine.free = 0
    begun = [] if begins.startswith("while") else [await _begin_reply(http, engine, conversation_id)]
    delete_item = Store.delete_item

    async def delete(store: Store, *ids: str) -> None:
        begun[:] = begun or [await _begin_reply(http, engine, conversation_id)]
        await delete_item(store, *ids)

    monkeypatch.setattr(Store, "delete_item", delete)
    await http.delete(f"{path}/{secret}")
    assert (await http.get(f"/v1/responses/{begun[0]}")).json()["status"] == "cancelled"
    assert engine.cancelled == 1


async def test_a_reply_that_begins_while_its_conversation_is_deleted_is_stopped(
    http: httpx.AsyncClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation_id = await new(http)
    engine.free = 0
    delete_conversation = Store.delete_conversation

    async def delete(store: Store, conversation_id: str) -> None:
        await _begin_reply(http, engine, conversation_id)
        await delete_conversation(store, conversation_id)

    monkeypatch.setattr(Store, "delete_conversation", delete)
    await http.delete(f"/v1/conversations/{conversation_id}")
    assert engine.cancelled == 1
    assert (await http.get("/ready")).json()["running"] == 0


async def test_a_title_is_found_as_it_was_given(http: httpx.AsyncClient) -> None:
    conversation_id = await new(http, title=" notes\n")
    listed = (await http.get("/v1/conversations", params={"title": " notes\n"})).json()
    assert [entry["id"] for entry in listed["data"]] == [conversation_id]


async def test_the_first_words_become_the_title(http: httpx.AsyncClient) -> None:
    conversation_id = await new(http)
    await http.post("/v1/responses", json={"input": "How do ships float?", "conversation": conversation_id})
    assert (await http.get(f"/v1/conversations/{conversation_id}")).json()["title"] == "How do ships float?"


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"limit": "9999"}, {"order": "up"}])
async def test_a_bad_query_is_refused(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    conversation_id = await new(http)
    answer = await http.get(f"/v1/conversations/{conversation_id}/items", params=query)
    assert answer.json()["error"]["code"] == "invalid_parameter"


async def test_a_conversation_cannot_be_given_a_persona_that_does_not_exist(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/conversations", json={"model": "nobody"})
    assert answer.json()["error"]["code"] == "model_not_found"


async def test_an_id_that_a_list_cannot_begin_after_is_named_as_it_was_given(http: httpx.AsyncClient) -> None:
    one = (await http.post("/v1/conversations", json={})).json()["id"]
    for query in ("after", "leaf"):
        error = (await http.get(f"/v1/conversations/{one}/items", params={query: "msg_none"})).json()["error"]
        assert (error["code"], error["param"]) == ("item_not_found", query)
        error = (await http.get("/v1/conversations/conv_none/items", params={query: "msg_none"})).json()["error"]
        assert (error["code"], error["param"]) == ("conversation_not_found", "conversation")
    error = (await http.get("/v1/conversations", params={"after": "conv_none"})).json()["error"]
    assert (error["code"], error["param"]) == ("conversation_not_found", "after")


async def test_a_message_that_was_changed_has_versions_and_any_of_them_can_be_chosen(
    url: str, http: httpx.AsyncClient
) -> None:
    one = await new(http)
    await http.post("/v1/responses", json={"input": "ahoy", "conversation": one})
    await http.post("/v1/responses", json={"input": "hello", "conversation": one, "parent_item_id": None})
    path = f"/v1/conversations/{one}"
    (said, reply) = (await http.get(f"{path}/items", params={"order": "asc"})).json()["data"]
    assert len(said["versions"]) == 2
    assert (said["versions"][1], reply["versions"]) == (said["id"], [reply["id"]])
    client = HttpApi(None, url=lambda: url, wait_live=lambda: asyncio.sleep(0))
    await client.choose_version(one, said["versions"][0])
    assert (await texts(http, one, order="asc"))[0] == "ahoy"
    other = (await http.get(f"{path}/items/{said['versions'][0]}")).json()
    assert other["versions"] == said["versions"]
    await client._close_http()


async def test_a_version_that_is_not_there_is_told_by_its_name(http: httpx.AsyncClient) -> None:
    path = f"/v1/conversations/{await new(http)}"
    error = (await http.post(path, json={"active_item_id": "msg_none"})).json()["error"]
    assert (error["code"], error["param"]) == ("item_not_found", "active_item_id")
