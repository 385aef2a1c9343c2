"""Turns sent, answered anew, stopped and refused."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from chatbot.client import (
    Client,
    ClientClosed,
    NotFound,
    RequestRejected,
)
from chatbot.protocol.frames import storable
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.tui.fake_server import FakeServer

from .conftest import QUICK, settled


async def test_a_turn_streams_and_knows_its_ids(client: Client, server: FakeServer) -> None:
    name = server.add_conversation("Sea talk")
    reply = await client.send("hi", conversation=name, model="pirate", temperature=0)
    assert [delta async for delta in reply.text_stream()] == server.pieces
    assert (reply.conversation, reply.status, reply.id) == (name, "completed", "resp_1")
    assert server.creates[0]["model"] == "pirate"
    assert server.creates[0]["temperature"] == 0


async def test_the_last_message_is_answered_anew_as_it_is_or_changed(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        conversation = (await client.create_conversation(title="Sea"))["id"]
        for text in ("one\x07", "two"):
            await (await client.send(text, conversation=conversation)).text()
        assert await (await client.retry(conversation=conversation)).text() == "you said: two"
        assert await (await client.retry("three", conversation=conversation)).text() == "you said: three"
        shown = [item["content"][0]["text"] for item in (await client.items(conversation)).data]
        assert shown == ["one\x07", "you said: one\x07", "three", "you said: three"]


async def test_any_message_is_answered_anew_by_its_own_id_or_that_of_its_reply(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        conversation = (await client.create_conversation(items=[{"role": "assistant", "content": "Hi!"}]))["id"]
        for text in ("one", "two", "three"):
            await (await client.send(text, conversation=conversation)).text()
        greeting, _, _, two, reply, *_ = (item["id"] for item in (await client.items(conversation)).data)
        assert (await client.item(conversation, two))["content"][0]["text"] == "two"
        for item, said in ((two, "2"), (reply, None)):
            await (await client.retry(said, conversation=conversation, item=item)).text()
        shown = [item["content"][0]["text"] for item in (await client.items(conversation)).data]
        assert shown == ["Hi!", "one", "you said: one", "two", "you said: two"]
        assert len((await client.item(conversation, two))["versions"]) == 3
        with pytest.raises(NotFound, match="no message to answer"):
            await client.retry(conversation=conversation, item=greeting)


async def test_the_first_message_is_answered_anew_at_the_root(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        conversation = (await client.create_conversation(title="Sea"))["id"]
        with pytest.raises(NotFound, match="no message to answer"):
            await client.retry(conversation=conversation)
        await (await client.send("one\x07", conversation=conversation)).text()
        assert await (await client.retry(conversation=conversation)).text() == "you said: one\x07"
        assert len((await client.items(conversation)).data) == 2


async def test_stop_keeps_the_partial_text(client: Client, server: FakeServer) -> None:
    server.gate.clear()
    reply = await client.send("hi")
    await anext(reply.text_stream())
    await reply.cancel()
    assert await reply.text() == "Hello"
    assert reply.status == "cancelled"


async def test_a_refused_turn_says_why(client: Client, server: FakeServer) -> None:
    error = {"type": "invalid_request_error", "code": "model_not_found", "message": "no persona parrot"}
    server.refusal = {"status": 404, "error": error}
    with pytest.raises(NotFound, match="no persona parrot") as caught:
        await client.send("hi", model="parrot")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("chars", [300_000, 2_000_000])
async def test_a_message_too_large_for_the_server_is_refused_and_the_next_is_sent(tmp_path: Path, chars: int) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url, backoff=QUICK) as client:
        with pytest.raises(RequestRejected) as caught:
            await client.send("x" * chars)
        assert (caught.value.code, caught.value.status) == ("message_too_large", 413)
        assert await (await client.send("hi")).text() == "you said: hi"


@pytest.mark.parametrize("text", ["é" * 100_000, "👋🏽" * 30_000, "caf\udce9"])
async def test_any_text_takes_no_more_bytes_than_it_has(tmp_path: Path, text: str) -> None:
    engine = FakeEngine(lambda _: ["yes"])
    async with live_server(tmp_path, engine) as url, Client(url) as client:
        assert await (await client.send(text)).text() == "yes"
    assert engine.requests[0].messages[-1].text == storable(text)


async def test_a_closed_client_says_so_and_opens_nothing(client: Client, server: FakeServer) -> None:
    server.gate.clear()
    reply = await client.send("hi")
    await client.close()
    for late in (
        reply.text(),
        client.send("hi"),
        client.connect(),
        client.attach(reply.id),
        client.watch(),
        client.models(),
    ):
        with pytest.raises(ClientClosed, match="make another one"):
            await late
    assert len(server.creates) == 1
    assert client._replies == {}


async def test_sends_that_wait_for_each_other_end_with_the_client(server: FakeServer) -> None:
    server.accepts = False
    client = Client(server.url, backoff=QUICK)
    sends = [asyncio.create_task(client.send(text)) for text in ("one", "two")]
    await settled()
    await client.close()
    for sent in sends:
        with pytest.raises(ClientClosed):
            await sent


@pytest.mark.parametrize("metadata", [float("nan"), json.loads("[" * 20 + "]" * 20)])
async def test_a_send_that_no_server_can_read_is_refused_and_not_waited_for(tmp_path: Path, metadata: object) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        with pytest.raises(RequestRejected) as caught:
            await client.send("hi", metadata=metadata)
        assert caught.value.code == "invalid_json"
        assert await (await client.send("hi")).text() == "you said: hi"


def test_importing_the_client_loads_no_model_code() -> None:
    heavy = "('torch', 'transformers', 'textual', 'pydantic')"
    code = f"import sys, chatbot.client; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
