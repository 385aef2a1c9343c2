"""A reply as it is read."""

import pytest

from chatbot.client import (
    Client,
    Reply,
    ReplyFailed,
    RequestRejected,
)
from tests.tui.fake_server import FakeServer


async def test_a_reply_can_be_read_twice_and_late(client: Client) -> None:
    reply = await client.send("hi")
    assert await reply.text() == "Hello there."
    assert "".join([delta async for delta in reply.text_stream()]) == "Hello there."


async def test_a_failed_turn_raises_on_reading(client: Client, server: FakeServer) -> None:
    server.ending = "failed"
    reply = await client.send("hi")
    with pytest.raises(ReplyFailed, match="the engine failed"):
        await reply.text()


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
