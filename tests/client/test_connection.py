"""The connection against servers that drop sockets, die, refuse to be found and come back."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.client import (
    Backoff,
    Client,
    ServerUnreachable,
)
from chatbot.client.connection import is_local
from tests.examples import examples
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.tui.fake_server import FakeServer

from .conftest import QUICK, settled

PIECES = [f"token{n} " for n in range(12)]
TEXT = "".join(PIECES)


@given(cuts=st.lists(st.integers(0, len(PIECES) + 3), max_size=6))
@settings(max_examples=examples(20), suppress_health_check=list(HealthCheck))
def test_cutting_the_socket_anywhere_loses_and_repeats_nothing(cuts: list[int]) -> None:
    async def scenario() -> None:
        async with FakeServer().running() as server:
            server.pieces, server.cut_after = PIECES, list(cuts)
            async with Client(server.url, backoff=QUICK) as client:
                reply = await client.send("hi")
                events = [event async for event in reply]
                deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
                assert "".join(deltas) == TEXT
                assert [e["sequence_number"] for e in events] == list(range(len(events)))
                assert len(server.responses) == 1

    asyncio.run(scenario())


async def test_a_reply_is_taken_up_again_while_it_still_runs(client: Client, server: FakeServer) -> None:
    server.gate.clear()
    reply = await client.send("hi")
    stream = reply.text_stream()
    assert await anext(stream) == "Hello"
    await server.drop_sockets()
    await server.attached.wait()
    server.gate.set()
    assert [delta async for delta in stream] == [" ", "there", "."]


async def test_a_send_whose_acknowledgement_was_lost_is_not_doubled(client: Client, server: FakeServer) -> None:
    server.cut_after = [0]
    name = server.add_conversation("Once")
    reply = await client.send("hi", conversation=name)
    await reply.text()
    assert len(server.creates) == 2
    assert [item["role"] for item in server.items[name]] == ["user", "assistant"]


async def test_a_send_that_meets_a_stopping_server_is_said_again_to_the_next(tmp_path: Path) -> None:
    engine, urls = FakeEngine(), list[str]()
    engine.free = 0

    async def newest() -> str:
        return urls[-1]

    async with AsyncExitStack() as first, Client("", ensure=newest, backoff=QUICK) as client:
        urls.append(await first.enter_async_context(live_server(tmp_path, engine)))
        held = await client.send("hold the door")
        async with httpx.AsyncClient(base_url=urls[0], verify=False) as http:
            stopping = asyncio.create_task(first.aclose())
            while (await http.get("/ready")).is_success:
                pass
        sending = asyncio.create_task(client.send("hi"))
        await stopping
        async with live_server(tmp_path, FakeEngine()) as url:
            urls.append(url)
            assert await (await sending).text() == "you said: hi"
            assert await held.text() == ""


async def test_two_conversations_stream_over_one_socket(client: Client, server: FakeServer) -> None:
    server.gate.clear()
    one = await client.send("a", conversation=server.add_conversation("One"))
    two = await client.send("b", conversation=server.add_conversation("Two"))
    server.gate.set()
    assert list(await asyncio.gather(one.text(), two.text())) == ["Hello there."] * 2
    assert len(server.sockets) == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8765", "localhost", "http://", "ftp://localhost"])
async def test_an_address_without_its_scheme_is_refused_and_not_waited_for(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected an address such as http://127\.0\.0\.1:8765, got"):
        Client(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8765", True),
        ("http://LOCALHOST", True),
        ("https://127.0.0.2", True),
        ("http://0.0.0.0:8765", True),
        ("http://[::1]:8765", True),
        ("http://127.0.0.1.example", False),
        ("http://localhost@example/?at=127.0.0.1", False),
        ("", False),
    ],
)
def test_only_the_host_of_an_address_tells_whether_it_is_of_this_machine(url: str, expected: bool) -> None:
    assert is_local(url) is expected


async def test_nobody_at_the_address_is_said_within_the_patience() -> None:
    async with Client("http://127.0.0.1:9", patience_s=0.0, backoff=QUICK) as client:
        with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9"):
            await client.send("hi")
        with pytest.raises(ServerUnreachable):
            await client.models()


async def test_a_reply_ends_with_an_error_when_the_server_stays_away() -> None:
    fake = FakeServer()
    async with fake.running():
        fake.gate.clear()
        client = Client(fake.url, patience_s=0.05, backoff=QUICK)
        reply = await client.send("hi")
    with pytest.raises(ServerUnreachable):
        await reply.text()
    await client.close()


async def test_ensure_starts_a_server_and_the_client_moves_there(server: FakeServer) -> None:
    async def ensure() -> str:
        return server.url

    async with Client("http://127.0.0.1:9", ensure=ensure, backoff=QUICK) as client:
        assert [model["id"] for model in await client.models()] == ["chatbot-mini", "pirate", "poet"]
        assert client.url == server.url


async def test_states_are_told_in_order(server: FakeServer) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with Client(server.url, backoff=QUICK, on_state=told.put_nowait) as client:
        await client.connect()
        assert [await told.get(), await told.get()] == ["connecting", "live"]
        await server.drop_sockets()
        assert [await told.get(), await told.get()] == ["lost", "live"]
        server.denies = True
        await server.drop_sockets()
        assert [await told.get(), await told.get(), str(client.ended_by)] == ["lost", "ended", "wrong API key"]


async def test_a_server_that_answers_and_closes_at_once_is_met_with_growing_waits(server: FakeServer) -> None:
    waits: list[float] = []

    class Noted(Backoff):
        def delays(self) -> Iterator[float]:
            for delay in super().delays():
                waits.append(delay)
                yield delay

    told: asyncio.Queue[object] = asyncio.Queue()
    async with Client(server.url, patience_s=0, backoff=Noted(0.001, 0.01), on_event=told.put_nowait) as client:
        await client.watch()
        for _ in range(6):
            await told.get()
            await server.drop_sockets()
        await told.get()
        assert len(waits) == 6
        assert waits[-1] > waits[0]


async def test_a_socket_that_was_open_for_a_moment_only_does_not_look_like_a_closed_client(client: Client) -> None:
    connection = client._connection
    connection._task = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]  # it goes on trying
    waiting = asyncio.create_task(connection.wait_live())
    await settled()
    connection._live.set()
    connection._live.clear()
    await waiting


async def test_a_bug_in_a_callback_is_told_and_stops_nothing(server: FakeServer) -> None:
    bugs: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, told: bugs.put_nowait(told))

    def fail(told: object) -> None:
        raise ValueError(told)

    async with Client(server.url, patience_s=0, on_event=fail, on_state=fail) as client:
        server.gate.clear()
        reply = await client.send("hi")
        await client.watch()
        told = [str((await bugs.get())["exception"]) for _ in range(3)]
        assert told[:2] == ["connecting", "live"]
        assert "chatbot:conversations.watched" in told[2]
        server.gate.set()
        assert await reply.text() == "Hello there."
