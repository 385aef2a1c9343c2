"""The client against a server that drops sockets, refuses, dies and comes back."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.client import (
    Backoff,
    Client,
    ClientClosed,
    NotFound,
    Reply,
    ReplyFailed,
    RequestRejected,
    ServerUnreachable,
)
from chatbot.protocol.frames import storable
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.tui.fake_server import FakeServer

QUICK = Backoff(0.001, 0.01)
PIECES = [f"token{n} " for n in range(12)]
TEXT = "".join(PIECES)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as server:
        yield server


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with Client(server.url, backoff=QUICK) as client:
        yield client


async def test_a_turn_streams_and_knows_its_ids(client: Client, server: FakeServer) -> None:
    name = server.add_conversation("Sea talk")
    reply = await client.send("hi", conversation=name, model="pirate", temperature=0)
    assert [delta async for delta in reply.text_stream()] == server.pieces
    assert (reply.conversation, reply.status, reply.id) == (name, "completed", "resp_1")
    assert server.creates[0]["model"] == "pirate"
    assert server.creates[0]["temperature"] == 0


async def test_a_reply_can_be_read_twice_and_late(client: Client) -> None:
    reply = await client.send("hi")
    assert await reply.text() == "Hello there."
    assert "".join([delta async for delta in reply.text_stream()]) == "Hello there."


@given(cuts=st.lists(st.integers(0, len(PIECES) + 3), max_size=6))
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
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
        async with httpx.AsyncClient(base_url=urls[0]) as http:
            stopping = asyncio.create_task(first.aclose())
            while (await http.get("/ready")).is_success:
                pass
        sending = asyncio.create_task(client.send("hi"))
        await stopping
        async with live_server(tmp_path, FakeEngine()) as url:
            urls.append(url)
            assert await (await sending).text() == "you said: hi"
            assert await held.text() == ""


async def test_the_last_message_is_answered_anew_as_it_is_or_changed(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        conversation = (await client.create_conversation(title="Sea"))["id"]
        for text in ("one\x07", "two"):
            await (await client.send(text, conversation=conversation)).text()
        assert await (await client.retry(conversation=conversation)).text() == "you said: two"
        assert await (await client.retry("three", conversation=conversation)).text() == "you said: three"
        shown = [item["content"][0]["text"] for item in (await client.items(conversation)).data]
        assert shown == ["one\x07", "you said: one\x07", "three", "you said: three"]


async def test_the_first_message_is_answered_anew_at_the_root(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        conversation = (await client.create_conversation(title="Sea"))["id"]
        with pytest.raises(NotFound, match="no message to answer"):
            await client.retry(conversation=conversation)
        await (await client.send("one\x07", conversation=conversation)).text()
        assert await (await client.retry(conversation=conversation)).text() == "you said: one\x07"
        assert len((await client.items(conversation)).data) == 2


async def test_two_conversations_stream_over_one_socket(client: Client, server: FakeServer) -> None:
    server.gate.clear()
    one = await client.send("a", conversation=server.add_conversation("One"))
    two = await client.send("b", conversation=server.add_conversation("Two"))
    server.gate.set()
    assert list(await asyncio.gather(one.text(), two.text())) == ["Hello there."] * 2
    assert len(server.sockets) == 1


async def test_stop_keeps_the_partial_text(client: Client, server: FakeServer) -> None:
    server.gate.clear()
    reply = await client.send("hi")
    await anext(reply.text_stream())
    await reply.cancel()
    assert await reply.text() == "Hello"
    assert reply.status == "cancelled"


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


async def test_a_failed_turn_raises_on_reading(client: Client, server: FakeServer) -> None:
    server.ending = "failed"
    reply = await client.send("hi")
    with pytest.raises(ReplyFailed, match="the engine failed"):
        await reply.text()


@pytest.mark.parametrize("url", ["127.0.0.1:8765", "localhost", "http://", "ftp://localhost"])
async def test_an_address_without_its_scheme_is_refused_and_not_waited_for(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected an address such as http://127\.0\.0\.1:8765, got"):
        Client(url)


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


async def test_sends_that_wait_for_each_other_end_with_the_client(server: FakeServer) -> None:
    server.accepts = False
    client = Client(server.url, backoff=QUICK)
    sends = [asyncio.create_task(client.send(text)) for text in ("one", "two")]
    await _settled()
    await client.close()
    for sent in sends:
        with pytest.raises(ClientClosed):
            await sent


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


async def test_a_socket_that_was_open_for_a_moment_only_does_not_look_like_a_closed_client(client: Client) -> None:
    connection = client._connection
    connection._task = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]  # it goes on trying
    waiting = asyncio.create_task(connection.wait_live())
    await _settled()
    connection._live.set()
    connection._live.clear()
    await waiting


async def _settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


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


async def _first_of(told: "asyncio.Queue[dict[str, object]]", kind: str) -> None:
    while (await told.get())["type"] != kind:
        pass


@pytest.mark.parametrize("metadata", [float("nan"), json.loads("[" * 20 + "]" * 20)])
async def test_a_send_that_no_server_can_read_is_refused_and_not_waited_for(tmp_path: Path, metadata: object) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        with pytest.raises(RequestRejected) as caught:
            await client.send("hi", metadata=metadata)
        assert caught.value.code == "invalid_json"
        assert await (await client.send("hi")).text() == "you said: hi"


async def test_conversations_are_made_renamed_listed_and_deleted(client: Client) -> None:
    made = await client.create_conversation(title="One", model="pirate")
    await client.rename(made["id"], "Two")
    await client.set_model(made["id"], "poet")
    (listed,) = (await client.conversations()).data
    assert (listed["title"], listed["model"]) == ("Two", "poet")
    assert (await client.conversation_titled("Two") or {})["id"] == made["id"]
    await client.delete_conversation(made["id"])
    assert await client.conversation_titled("Two") is None
    with pytest.raises(NotFound):
        await client.items(made["id"])


async def test_text_that_is_no_unicode_is_found_as_it_is_kept(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        made = await client.create_conversation(title="caf\udce9", metadata={"from": "\udce9"})
        assert (made["title"], made["metadata"]) == ("caf\ufffd", {"from": "\ufffd"})
        assert (await client.conversation_titled("caf\udce9") or {})["id"] == made["id"]
        with pytest.raises(NotFound):
            await client.conversation("conv_\udce9")


async def test_a_conversation_begins_with_what_it_is_given_and_forgets_what_is_deleted(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with live_server(tmp_path, engine) as url, Client(url) as client:
        said = [{"role": "user", "content": text} for text in ("one", "two")]
        name = (await client.create_conversation(instructions="Be brief.", items=said))["id"]
        await client.delete_item(name, (await client.items(name)).data[0]["id"])
        await (await client.send("hi", conversation=name)).text()
    assert [message.text for message in engine.requests[0].messages] == ["Be brief.", "two\nhi"]


async def test_what_was_not_done_is_not_taken_for_done(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        with pytest.raises(RequestRejected, match="status 307"):
            await client.delete_conversation("")


async def test_items_come_in_pages(client: Client, server: FakeServer) -> None:
    name = server.add_conversation("Long", ("a", "b"), ("c", "d"))
    page = await client.items(name, order="desc", limit=3)
    assert [item["content"][0]["text"] for item in page.data] == ["d", "c", "b"]
    rest = await client.items(name, order="desc", limit=3, after=page.last_id)
    assert (len(rest.data), rest.has_more) == (1, False)


async def _no_cancel(response_id: str) -> None:
    raise AssertionError(response_id)


async def test_what_a_crashed_server_had_not_stored_is_not_part_of_the_text() -> None:
    reply = Reply({"id": "resp_1"}, cancel=_no_cancel)
    reply.receive({"type": "response.output_text.delta", "sequence_number": 4, "delta": "lost"})
    stored = {"id": "resp_1", "output": [{"content": [{"type": "output_text", "text": ""}]}]}
    reply.receive({"type": "response.incomplete", "sequence_number": 8, "response": stored})
    assert await reply.text() == ""


async def test_nothing_is_accepted_after_the_end() -> None:
    reply = Reply({"id": "resp_1"}, cancel=_no_cancel)
    reply.receive({"type": "response.completed", "sequence_number": 8, "response": {"id": "resp_1"}})
    reply.receive({"type": "response.output_text.delta", "sequence_number": 99, "delta": "y"})
    reply.fail(RequestRejected("late"))
    assert await reply.text() == ""


def test_importing_the_client_loads_no_model_code() -> None:
    heavy = "('torch', 'transformers', 'textual', 'pydantic')"
    code = f"import sys, chatbot.client; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
