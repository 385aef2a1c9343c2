import asyncio
from typing import Any

import pytest

from chatbot.conversation.stream import ResponseLog
from chatbot.server.readings import Readings
from tests.protocol.test_events import settled


async def test_a_reading_that_waits_to_send_ends_for_a_later_one_that_is_done_before_it() -> None:
    sent: list[int] = []
    is_held, never = True, asyncio.Event()

    async def send(event: dict[str, Any], stream_id: str | None) -> None:
        if is_held:
            await never.wait()
        sent.append(event.get("sequence_number", -1))

    readings: Any = Readings(None, send)  # type: ignore[arg-type]  # only a reply that waits asks for services
    log = ResponseLog.settled(settled(["x"], context={}))
    earlier = asyncio.create_task(readings.read(log, None, -1))
    await asyncio.sleep(0)
    assert readings.includes("resp_1")
    is_held = False
    await readings.read(log, None, 6)
    with pytest.raises(asyncio.CancelledError):
        await earlier
    assert (sent, readings.includes("resp_1")) == ([7, 8], False)
