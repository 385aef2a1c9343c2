"""Sockets that watch: every conversation, or one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from storage.errors import StorageBusy
from storage.records import Conversation
from storage.store import Store
from tests.fake_engine import FakeEngine
from tests.server.socket_client import Frame, Frames, frames

SUBSCRIBED, UNSUBSCRIBED, UPDATED, DELETED, WATCHED = (
    "chatbot:conversation.subscribed",
    "chatbot:conversation.unsubscribed",
    "chatbot:conversation.updated",
    "chatbot:conversation.deleted",
    "chatbot:conversations.watched",
)


@asynccontextmanager
async def watcher(url: str) -> AsyncIterator[Frames]:
    """A socket that hears of all changes from now on."""
    async with frames(url) as socket:
        await socket.send(type="chatbot:conversations.watch")
        assert (await socket.read())["type"] == WATCHED
        yield socket


async def made(http: httpx.AsyncClient, **fields: object) -> str:
    return str((await http.post("/v1/conversations", json=fields)).json()["id"])


async def until_idle(socket: Frames) -> list[Frame]:
    """Read until a conversation is told in which no reply is on its way."""
    told = [await socket.read()]
    while told[-1]["running_response_id"] is not None:
        told.append(await socket.read())
    return told


async def test_a_turn_is_told_with_its_running_response_and_told_again_when_it_ends(
    url: str, http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.free = 1
    async with watcher(url) as other, frames(url) as speaker:
        conversation = await made(http)
        new = await other.read()
        assert (new["type"], new["conversation"]["id"], new["running_response_id"]) == (UPDATED, conversation, None)
        await speaker.send(type="response.create", input="hi there", conversation=conversation)
        begun = await other.read()
        assert begun["conversation"]["title"] == "hi there"
        assert begun["conversation"]["change"] > new["conversation"]["change"]
        await other.send(type="chatbot:response.attach", response_id=begun["running_response_id"])
        engine.gate.set()
        events = await other.until("response.completed")
        assert "".join(event.get("delta", "") for event in events) == "you said: hi there"
        ended = (await until_idle(other))[-1]
    assert ended["conversation"]["change"] > begun["conversation"]["change"]


async def test_names_items_and_deletions_are_told(url: str, http: httpx.AsyncClient) -> None:
    conversation = await made(http)
    items = {"items": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]}
    async with watcher(url) as other:
        await http.post(f"/v1/conversations/{conversation}", json={"title": "Sea"})
        assert (await other.read())["conversation"]["title"] == "Sea"
        added = (await http.post(f"/v1/conversations/{conversation}/items", json=items)).json()
        first = await other.read()
        await http.delete(f"/v1/conversations/{conversation}/items/{added['last_id']}")
        assert (await other.read())["conversation"]["change"] > first["conversation"]["change"]
        await http.delete(f"/v1/conversations/{conversation}")
        gone = await other.read()
    assert gone == {
        "type": DELETED,
        "conversation": {"id": conversation, "object": "conversation.deleted", "deleted": True},
    }


async def test_that_a_response_was_deleted_is_told(url: str, http: httpx.AsyncClient) -> None:
    conversation = await made(http)
    reply = (await http.post("/v1/responses", json={"input": "hi", "conversation": conversation})).json()
    async with watcher(url) as other:
        await http.delete(f"/v1/responses/{reply['id']}")
        listed = (await http.get("/v1/conversations")).json()["data"]
        assert (await other.read())["conversation"] == listed[0]


async def test_lists_go_by_the_number_that_is_told(url: str, http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await made(http)
    listed = (await http.get("/v1/conversations")).json()["data"]
    numbers = [conversation["change"] for conversation in listed]
    assert numbers == sorted(numbers, reverse=True)


async def test_a_socket_that_did_not_ask_hears_nothing(url: str, http: httpx.AsyncClient) -> None:
    async with watcher(url) as other, frames(url) as speaker:
        conversation = await made(http)
        events = await speaker.turn("hi", conversation=conversation)
        await until_idle(other)
        await http.delete(f"/v1/conversations/{conversation}")
        await other.until(DELETED)
        events += await speaker.turn("hi")
    assert not [event for event in events if event["type"].startswith("chatbot:conversation")]


async def test_what_is_not_listed_is_not_told(url: str, http: httpx.AsyncClient) -> None:
    async with watcher(url) as other, frames(url) as speaker:
        hidden = (await speaker.turn("hi"))[-1]["response"]
        await speaker.turn("more", previous_response_id=hidden["id"])
        await speaker.turn("forget this", store=False)
        conversation = await made(http)
        assert (await other.read())["conversation"]["id"] == conversation


async def test_a_watcher_that_does_not_read_gets_the_newest_state_and_holds_nobody_up(
    url: str, http: httpx.AsyncClient
) -> None:
    conversation = await made(http, instructions="x" * 200_000)
    async with watcher(url) as stalled, watcher(url) as reading:
        for number in range(100):  # 20 MB, more than any buffer between here and there
            await http.post(f"/v1/conversations/{conversation}", json={"title": f"Title {number}"})
            assert (await reading.read())["conversation"]["title"] == f"Title {number}"
        told = [(await stalled.read())["conversation"]["title"]]
        while told[-1] != "Title 99":
            told.append((await stalled.read())["conversation"]["title"])
    assert len(told) < 100
    numbers = [int(title.removeprefix("Title ")) for title in told]
    assert numbers == sorted(numbers)


async def test_asking_twice_tells_once_and_under_the_name_of_the_first(url: str, http: httpx.AsyncClient) -> None:
    async with frames(url) as socket:
        await socket.send(type="chatbot:conversations.watch", stream_id="list")
        await socket.until(WATCHED)
        await socket.send(type="chatbot:conversations.watch", stream_id="again")
        names = [await made(http), await made(http)]
        told = [await socket.read(), await socket.read()]
    assert [(event["conversation"]["id"], event["stream_id"]) for event in told] == [(name, "list") for name in names]


async def test_who_follows_one_conversation_is_told_that_it_is_gone(url: str, http: httpx.AsyncClient) -> None:
    conversation = await made(http)
    async with frames(url) as socket:
        await socket.send(type="chatbot:conversation.subscribe", conversation=conversation)
        assert await socket.read() == {"type": SUBSCRIBED, "conversation": {"id": conversation}}
        assert (await socket.read())["running_response_id"] is None
        await http.delete(f"/v1/conversations/{conversation}")
        assert (await socket.read())["type"] == DELETED
        await socket.send(type="chatbot:conversation.subscribe", conversation=conversation)
        assert (await socket.read())["error"]["code"] == "conversation_not_found"


async def test_a_subscription_takes_no_place_of_a_request_and_can_be_ended(
    url: str, http: httpx.AsyncClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.server.watching.MAX_SUBSCRIPTIONS", 1)
    monkeypatch.setattr("chatbot.server.socket.MAX_TASKS", 1)
    engine.free = 1
    one, two = await made(http), await made(http)
    subscribe, unsubscribe = "chatbot:conversation.subscribe", "chatbot:conversation.unsubscribe"
    async with frames(url) as socket, frames(url) as speaker:
        await socket.send(type=subscribe, conversation=one)
        await socket.until(UPDATED)
        await socket.send(type=subscribe, conversation=two)
        refused = await socket.read()
        assert (refused["status"], refused["error"]["code"]) == (429, "too_many_subscriptions")
        await speaker.send(type="response.create", input="hi", conversation=one)
        await socket.until("response.output_text.delta")
        await socket.send(type=unsubscribe, conversation=one, stream_id="away")
        told = (await socket.until(UNSUBSCRIBED))[-1]
        assert told == {"type": UNSUBSCRIBED, "conversation": {"id": one}, "stream_id": "away"}
        engine.gate.set()
        await speaker.until("response.completed")
        await socket.send(type=subscribe, conversation=two)
        assert await socket.read() == {"type": SUBSCRIBED, "conversation": {"id": two}}


async def test_what_is_not_listed_is_told_to_who_follows_it(url: str) -> None:
    async with frames(url) as socket:
        hidden = (await socket.turn("hi"))[-1]["response"]["conversation"]["id"]
        await socket.send(type="chatbot:conversation.subscribe", conversation=hidden)
        assert (await socket.until(UPDATED))[-1]["conversation"]["id"] == hidden


async def test_a_state_that_cannot_be_read_for_a_moment_is_told_later(
    url: str, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.server.watching.RETRY_S", 0)
    faults, read = iter([StorageBusy("locked")]), Store.conversation

    async def failing(store: Store, conversation_id: str) -> Conversation:
        for fault in faults:
            raise fault
        return await read(store, conversation_id)

    async with watcher(url) as other:
        monkeypatch.setattr(Store, "conversation", failing)
        conversation = await made(http)
        assert (await other.read())["conversation"]["id"] == conversation
