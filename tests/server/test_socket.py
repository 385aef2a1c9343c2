import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed

from chatbot.protocol.requests import CLIENT_EVENTS
from chatbot.server.services import open_services
from chatbot.server.socket import MAX_TASKS, ResponseSocket
from chatbot.settings import Settings
from tests.fake_engine import FakeEngine
from tests.server.socket_client import Frame, Frames, frames


async def test_one_message_gives_the_whole_sequence(url: str) -> None:
    async with frames(url) as socket:
        events = await socket.turn("hi there")
    numbered = [event for event in events if "sequence_number" in event]
    assert [event["sequence_number"] for event in numbered] == list(range(len(numbered)))
    assert "".join(event.get("delta", "") for event in events) == "you said: hi there"
    assert events[-1]["response"]["status"] == "completed"
    assert events[-1]["response"]["usage"]["output_tokens"] == 4


async def test_the_context_is_told_beside_the_reply(url: str) -> None:
    async with frames(url) as socket:
        events = await socket.turn("hi there")
    (told,) = [event for event in events if event["type"] == "chatbot:context"]
    assert told["context"]["tokens"] == 10
    assert told["context"]["dropped"] == 0


async def test_chaining_by_previous_response_works_on_another_socket(url: str, engine: FakeEngine) -> None:
    async with frames(url) as socket:
        first = (await socket.turn("one"))[-1]["response"]["id"]
    async with frames(url) as socket:
        await socket.turn("two", previous_response_id=first)
    assert [message.text for message in engine.requests[-1].messages[1:]] == ["one", "you said: one", "two"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{not json", "invalid_json"),
        ("[]", "invalid_json"),
        ("{}", "unknown_event"),
        ('{"type": "session.update"}', "unknown_event"),
        ('{"type": "response.create"}', "missing_required_parameter"),
        ('{"type": "response.create", "input": "x", "temperature": 9}', "invalid_parameter"),
        ('{"type": "response.create", "input": "x", "conversation": "conv_none"}', "conversation_not_found"),
        (
            '{"type": "response.create", "input": "x", "previous_response_id": "resp_none"}',
            "previous_response_not_found",
        ),
        ('{"type": "response.create", "input": "x", "model": "none"}', "model_not_found"),
        ('{"type": "response.create", "input": "x", "stream_id": "not good"}', "invalid_stream_id"),
        ('{"type": "response.cancel", "response_id": "resp_none"}', "response_not_found"),
        ('{"type": "chatbot:response.attach", "response_id": "resp_none"}', "response_not_found"),
        ('{"type": "chatbot:conversation.subscribe", "conversation": "none"}', "conversation_not_found"),
        ('{"type": "response.create", "input": "' + "x" * 300_000 + '"}', "message_too_large"),
    ],
)
async def test_a_bad_frame_gives_a_typed_error_and_the_socket_lives_on(url: str, frame: str, code: str) -> None:
    async with frames(url) as socket:
        await socket.connection.send(frame)
        error = await socket.read()
        assert (error["type"], error["error"]["code"]) == ("error", code)
        assert (await socket.turn("still there?"))[-1]["type"] == "response.completed"


async def test_an_event_that_nobody_knows_is_answered_with_those_that_are_known(url: str) -> None:
    async with frames(url) as socket:
        await socket.send(type="response.attach", response_id="resp_1")
        message = (await socket.read())["error"]["message"]
    assert [name for name in (*CLIENT_EVENTS, "got 'response.attach'") if name not in message] == []


async def test_a_binary_frame_is_read_like_a_text_frame(url: str) -> None:
    async with frames(url) as socket:
        await socket.connection.send(b'{"type": "response.create", "input": "hi"}')
        assert (await socket.until("response.completed", "error"))[-1]["type"] == "response.completed"


async def test_an_error_carries_the_ids_of_the_frame_at_fault(url: str) -> None:
    async with frames(url) as socket:
        await socket.send(type="nonsense", event_id="mine-1", stream_id="lane-2")
        error = await socket.read()
    assert (error["event_id"], error["stream_id"], error["status"]) == ("mine-1", "lane-2", 400)


async def test_a_frame_over_the_limit_is_named_by_its_ids(url: str) -> None:
    async with frames(url) as socket:
        await socket.send(type="response.create", input="x" * 300_000, event_id="mine-1", stream_id="lane-2")
        error = await socket.read()
    assert (error["event_id"], error["stream_id"], error["status"]) == ("mine-1", "lane-2", 413)


async def test_a_frame_far_over_the_limit_or_not_in_utf8_closes_its_socket_and_is_no_error_of_the_server(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for frame, code in ((b"x" * 2_000_000, 1009), (b"\xff", 1007)):
        async with frames(url) as socket:
            with pytest.raises(ConnectionClosed) as caught:
                await socket.connection.send(frame, text=True)
                await socket.read()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == code
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_cancel_ends_the_reply_with_its_text_so_far(url: str, engine: FakeEngine) -> None:
    engine.free = 1
    async with frames(url) as socket:
        await socket.send(type="response.create", input="hi")
        created = (await socket.until("response.output_text.delta"))[0]
        await socket.send(type="response.cancel", response_id=created["response"]["id"])
        last = (await socket.until("response.incomplete"))[-1]
        assert (last["response"]["status"], last["response"]["output"][0]["content"][0]["text"]) == ("cancelled", "you")
        await socket.send(type="response.cancel", response_id=created["response"]["id"], stream_id="late")
        assert await socket.read() == last | {"stream_id": "late"}


async def test_a_reading_that_is_asked_for_again_takes_the_place_of_the_earlier_one(
    url: str, engine: FakeEngine
) -> None:
    engine.free = 1
    turn = {"type": "response.create", "input": "hi", "idempotency_key": "k", "store": False}
    async with frames(url) as socket:
        await socket.send(**turn)
        begun = await socket.until("response.output_text.delta")
        attach = {"type": "chatbot:response.attach", "response_id": begun[0]["response"]["id"]}
        for again in (attach, turn):
            await socket.send(**again)
            assert await socket.until("response.output_text.delta") == begun
        engine.gate.set()
        assert "".join(event.get("delta", "") for event in await socket.until("response.completed")) == " said: hi"
        await socket.send(type="nonsense")
        assert (await socket.read())["type"] == "error"


async def test_a_reply_outlives_its_socket_and_is_resumed_without_gap_or_repeat(url: str, engine: FakeEngine) -> None:
    engine.free = 2
    async with frames(url) as socket:
        await socket.send(type="response.create", input="hi there")
        seen = await socket.until("response.output_text.delta")
    engine.gate.set()
    async with frames(url) as socket:
        await socket.send(
            type="chatbot:response.attach",
            response_id=seen[0]["response"]["id"],
            starting_after=seen[-1]["sequence_number"],
        )
        seen += await socket.until("response.completed")
    numbers = [event["sequence_number"] for event in seen if "sequence_number" in event]
    assert numbers == list(range(len(numbers)))
    assert "".join(event.get("delta", "") for event in seen) == "you said: hi there"


async def test_an_unstored_reply_goes_on_while_somebody_reads_it(url: str, engine: FakeEngine) -> None:
    engine.free = 1
    async with frames(url) as staying:
        async with frames(url) as leaving:
            await leaving.send(type="response.create", input="hi", store=False)
            created = (await leaving.until("response.output_text.delta"))[0]
            await staying.send(type="chatbot:response.attach", response_id=created["response"]["id"])
            await staying.until("response.output_text.delta")
        await staying.send(type="nonsense")  # when this is answered the server has seen who left
        await staying.until("error")
        engine.gate.set()
        assert (await staying.until("response.completed", "response.incomplete"))[-1]["type"] == "response.completed"


async def test_an_unstored_reply_ends_with_its_last_reader(url: str, engine: FakeEngine) -> None:
    engine.free = 1
    async with frames(url) as socket:
        await socket.send(type="response.create", input="hi", store=False)
        await socket.until("response.output_text.delta")
    while not engine.cancelled:
        await asyncio.sleep(0.01)


async def test_an_unstored_reply_ends_if_its_socket_can_no_longer_be_written(
    tmp_path: Path, engine: FakeEngine
) -> None:
    """Though it is not known to be closed yet."""
    engine.free = 0
    frame = {"type": "websocket.receive", "text": '{"type": "response.create", "input": "hi", "store": false}'}
    messages, may_close = iter([{"type": "websocket.connect"}, frame]), asyncio.Event()

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await may_close.wait()
        return {"type": "websocket.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "websocket.send":
            raise OSError

    async with open_services(Settings(home=tmp_path), lambda: engine) as services:
        serving = asyncio.create_task(ResponseSocket(services, WebSocket({"type": "websocket"}, receive, send)).serve())
        while not engine.forgotten:
            await asyncio.sleep(0)
        may_close.set()
        await serving


async def test_a_second_turn_queues_and_says_so(url: str, http: httpx.AsyncClient, engine: FakeEngine) -> None:
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    engine.free = 0
    async with frames(url) as socket:
        for text in ("one", "two"):
            await socket.send(type="response.create", input=text, conversation=conversation, stream_id=text)
        queued = (await socket.until("chatbot:queued"))[-1]
        assert (queued["position"], queued["waits_for"], queued["stream_id"]) == (1, "turns", "two")
        engine.gate.set()
        events = await socket.until("response.completed") + await socket.until("response.completed")
    assert [event["stream_id"] for event in events if event["type"] == "response.completed"] == ["one", "two"]


async def test_a_watcher_sees_what_others_say_in_the_conversation(
    url: str, http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    async with frames(url) as watcher, frames(url) as speaker:
        await watcher.send(type="chatbot:conversation.subscribe", conversation=conversation)
        await watcher.until("chatbot:conversation.updated")
        await speaker.turn("hi", conversation=conversation)
        events = await watcher.until("response.completed")
        assert "".join(event.get("delta", "") for event in events) == "you said: hi"
        titled = (await watcher.until("chatbot:conversation.updated"))[-1]
    assert titled["conversation"]["title"] == "hi"


async def test_a_watcher_is_streamed_a_bounded_number_of_replies_at_a_time(
    url: str, http: httpx.AsyncClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.server.watching.MAX_STREAMED", 1)
    engine.free = 0
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    async with frames(url) as watcher, frames(url) as speaker:
        await watcher.send(type="chatbot:conversation.subscribe", conversation=conversation)
        await watcher.until("chatbot:conversation.updated")
        for text in ("one", "two"):
            await speaker.send(type="response.create", input=text, conversation=conversation)
        await speaker.until("chatbot:queued")
        engine.gate.set()
        events = await watcher.until("response.completed") + await watcher.until("response.completed")
        speaker.vanish()
    assert [event["sequence_number"] for event in events if "sequence_number" in event] == [*range(11), *range(11)]


async def test_a_watcher_that_speaks_gets_its_own_stream_id_too(url: str, http: httpx.AsyncClient) -> None:
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    async with frames(url) as socket:
        await socket.send(type="chatbot:conversation.subscribe", conversation=conversation)
        await socket.send(type="response.create", input="hi", conversation=conversation, stream_id="mine")
        ends = [event async for event in ended(socket, 2)]
    assert {event.get("stream_id") for event in ends} == {None, "mine"}


async def ended(socket: Frames, count: int) -> AsyncIterator[Frame]:
    for _ in range(count):
        yield (await socket.until("response.completed"))[-1]


async def test_who_leaves_before_the_answer_leaves_no_error_behind(tmp_path: Path) -> None:
    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            is_answered.set()
            raise OSError("the client is gone")

    left: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "no JSON"}]
    faults, is_answered = list[Any](), asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))

    async def receive() -> Message:
        if not left:
            await is_answered.wait()
            for _ in range(5):  # until the task that answered is over
                await asyncio.sleep(0)
        return left.pop(0) if left else {"type": "websocket.disconnect"}

    async with open_services(Settings(home=tmp_path), FakeEngine) as services:
        await ResponseSocket(services, WebSocket({"type": "websocket"}, receive, send)).serve()
        gc.collect()
    assert faults == []


async def test_a_client_that_floods_and_does_not_read_is_not_read_from(url: str) -> None:
    before = len(asyncio.all_tasks())
    async with frames(url, sock=connected_with_little_room(url)) as socket, frames(url) as other:
        flooding = asyncio.create_task(flood(socket))
        for _ in range(2):
            assert (await other.turn("still there?"))[-1]["type"] == "response.completed"
        assert len(asyncio.all_tasks()) - before < MAX_TASKS + 50
        flooding.cancel()
        socket.vanish()


def connected_with_little_room(url: str) -> socket.socket:
    """A connection whose unread answers fill it soon, not only after megabytes."""
    connected = socket.socket()
    for room in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connected.setsockopt(socket.SOL_SOCKET, room, 4096)
    connected.connect((httpx.URL(url).host, httpx.URL(url).port))
    return connected


async def flood(socket: Frames) -> None:
    while True:
        await socket.connection.send("{}")


async def test_a_socket_with_too_many_requests_names_the_one_it_refuses_and_can_still_cancel(
    url: str, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.server.socket.MAX_TASKS", 1)
    engine.free = 1
    async with frames(url) as socket:
        await socket.send(type="response.create", input="hi")
        created = (await socket.until("response.output_text.delta"))[0]
        await socket.send(type="response.create", input="and?", event_id="mine-1", stream_id="lane-2")
        refused = await socket.read()
        assert (refused["status"], refused["error"]["code"]) == (429, "too_many_requests")
        assert (refused["event_id"], refused["stream_id"]) == ("mine-1", "lane-2")
        await socket.connection.send("no JSON")
        assert (await socket.read())["error"]["code"] == "too_many_requests"
        await socket.send(type="response.cancel", response_id=created["response"]["id"])
        assert (await socket.until("response.incomplete", "error"))[-1]["type"] == "response.incomplete"


async def test_what_is_said_in_one_breath_is_stored_in_that_order(url: str, http: httpx.AsyncClient) -> None:
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    async with frames(url) as socket:
        for number in range(5):
            await socket.send(type="response.create", input=f"say {number}", conversation=conversation)
        for _ in range(5):
            await socket.until("response.completed")
    page = (await http.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"})).json()
    said = [item["content"][0]["text"] for item in page["data"] if item["role"] == "user"]
    assert said == [f"say {number}" for number in range(5)]


async def test_many_turns_run_at_the_same_time_on_one_socket(url: str) -> None:
    async with frames(url) as socket:
        for number in range(20):
            await socket.send(type="response.create", input=f"say {number}", stream_id=f"lane-{number}")
        texts: dict[str, str] = {}
        while len(texts) < 20:
            event = await socket.read()
            if event["type"] == "response.completed":
                texts[event["stream_id"]] = event["response"]["output"][0]["content"][0]["text"]
    assert texts == {f"lane-{n}": f"you said: say {n}" for n in range(20)}


async def test_a_reader_that_does_not_read_does_not_stop_the_others(url: str, engine: FakeEngine) -> None:
    engine.reply = lambda request: ["x" * 1000] * 2000
    async with frames(url) as stalled, frames(url) as reading:
        await stalled.send(type="response.create", input="hi")
        events = await asyncio.wait_for(reading.turn("hi"), 20)
        stalled.vanish()
    assert events[-1]["type"] == "response.completed"


async def test_a_key_in_the_metadata_makes_a_retry_safe(url: str, engine: FakeEngine) -> None:
    turn: dict[str, Any] = {"metadata": {"idempotency_key": "k1"}}
    async with frames(url) as socket:
        first = (await socket.turn("hi", **turn))[-1]["response"]["id"]
        second = (await socket.turn("hi", **turn))[-1]["response"]["id"]
    assert first == second
    assert len(engine.requests) == 1


async def test_a_plain_subprotocol_is_echoed_and_never_the_key(url: str) -> None:
    offered: Any = ["openai-insecure-api-key.k", "responses"]
    async with frames(url, subprotocols=offered) as socket:
        assert socket.connection.subprotocol == "responses"
