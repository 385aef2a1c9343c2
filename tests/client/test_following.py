"""Replies and conversations that somebody else began, followed from any place."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chatbot.client import (
    Client,
    NotFound,
    Reply,
)
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.tui.fake_server import FakeServer

from .conftest import QUICK, settled


async def test_attach_brings_all_from_the_start_or_from_a_point(client: Client) -> None:
    await (await client.send("hi")).text()
    assert await (await client.attach("resp_1")).text() == "Hello there."
    later = await client.attach("resp_1", starting_after=2)
    assert "".join([delta async for delta in later.text_stream()]) == " there."


@pytest.mark.parametrize("beyond", [-5, -1, 0, 1, 2, 50])
async def test_a_new_client_goes_on_from_any_place_and_comes_to_the_end(tmp_path: Path, beyond: int) -> None:
    async with live_server(tmp_path, FakeEngine()) as url:
        async with Client(url) as client:
            first = await client.send("a b c")
            numbered = [event async for event in first if "sequence_number" in event]
        place = first.last_sequence + beyond
        async with Client(url) as client:
            reply = await client.attach(first.id, starting_after=place)
            came = [event["type"] async for event in reply if "sequence_number" in event]
    missed = [event["type"] for event in numbered[place + 1 :]]
    assert came == missed or (beyond >= 0 and came == ["response.completed"])
    assert await reply.text() == "you said: a b c"


async def _streamed(reply: Reply) -> str:
    return "".join([text async for text in reply.text_stream()])


async def test_every_follower_of_a_reply_is_served_from_its_own_place(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.free = 2
    async with live_server(tmp_path, engine) as url, Client(url) as client:
        own = await client.send("a b c")
        await anext(own.text_stream())
        followers = [own, *[await client.attach(own.id, starting_after=place) for place in (4, -1, 2, -1)]]
        engine.gate.set()
        texts = await asyncio.gather(*[_streamed(reply) for reply in followers])
    whole = "you said: a b c"
    assert texts == [whole, whole.removeprefix("you"), whole, whole, whole]


async def test_a_send_under_the_key_of_a_followed_reply_follows_it_too(client: Client, server: FakeServer) -> None:
    server.gate.clear()
    first = await client.send("hi", idempotency_key="k")
    again = await client.send("hi", idempotency_key="k")
    server.gate.set()
    assert (again.id, await again.text()) == (first.id, await first.text())


async def test_a_watch_tells_of_changes_and_is_asked_for_again_on_every_socket(server: FakeServer) -> None:
    told: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    async with Client(server.url, backoff=QUICK, on_event=told.put_nowait) as client, Client(server.url) as other:
        await client.watch()
        for _ in range(2):
            assert (await told.get())["type"] == "chatbot:conversations.watched"
            made = await other.create_conversation(title="Sea")
            told_of = (await told.get())["conversation"]
            assert isinstance(told_of, dict)
            assert told_of["id"] == made["id"]
            await server.drop_sockets()


async def test_who_follows_a_conversation_that_does_not_exist_is_told(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        with pytest.raises(NotFound, match="'conv_none': expected a stored conversation"):
            await client.subscribe("conv_none")


async def test_what_others_say_comes_until_the_conversation_is_gone(tmp_path: Path) -> None:
    told, urls, is_gone = asyncio.Queue[dict[str, object]](), list[str](), asyncio.Event()

    async def newest() -> str:
        await is_gone.wait()
        return urls[-1]

    async with AsyncExitStack() as first:
        urls.append(await first.enter_async_context(live_server(tmp_path, FakeEngine())))
        async with Client(urls[0], ensure=newest, backoff=QUICK, on_event=told.put_nowait) as client:
            async with Client(urls[0]) as other:
                name = (await other.create_conversation(title="Sea"))["id"]
                await client.subscribe(name)
                await (await other.send("hi", conversation=name)).text()
            await _first_of(told, "response.completed")
            await first.aclose()
            async with live_server(tmp_path, FakeEngine()) as url:
                urls.append(url)
                async with Client(url) as other:
                    await other.delete_conversation(name)
                is_gone.set()
                await _first_of(told, "error")
                await client.watch()
                await _first_of(told, "chatbot:conversations.watched")
                assert [frame["type"] for frame in client._standing] == ["chatbot:conversations.watch"]


async def test_who_follows_too_many_is_told_so_and_who_unsubscribes_asks_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.server.watching.MAX_SUBSCRIPTIONS", 1)
    told = asyncio.Queue[dict[str, object]]()
    async with live_server(tmp_path, FakeEngine()) as url, Client(url, on_event=told.put_nowait) as client:
        one, two = [(await client.create_conversation())["id"] for _ in range(2)]
        for name in (one, two):
            await client.subscribe(name)
        await _first_of(told, "error")
        assert [frame["conversation"] for frame in client._standing] == [one]
        await client.unsubscribe(one)
        await _first_of(told, "chatbot:conversation.unsubscribed")
        assert client._standing == []


async def test_what_the_client_reads_or_gave_up_is_not_told_beside(tmp_path: Path) -> None:
    engine, told = FakeEngine(), asyncio.Queue[dict[str, object]]()
    engine.free = 1
    async with live_server(tmp_path, engine) as url, Client(url, on_event=told.put_nowait) as client:
        name = (await client.create_conversation())["id"]
        await client.connect()
        given_up = asyncio.create_task(client.send("one"))
        await settled()
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await client.subscribe(name)
        own = await client.send("two", conversation=name)
        await anext(own.text_stream())
        await client.unsubscribe(name)
        while (event := await told.get())["type"] != "chatbot:conversation.unsubscribed":
            assert "stream_id" not in event
            assert event["type"] != "response.output_text.delta"
        engine.gate.set()


async def _first_of(told: "asyncio.Queue[dict[str, object]]", kind: str) -> None:
    while (await told.get())["type"] != kind:
        pass
