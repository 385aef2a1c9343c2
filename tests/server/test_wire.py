import asyncio
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chatbot.server.wire import MAX_UNREAD_BYTES, BoundedWebSocketProtocol


class Transport:
    """A connection whose client has left this many bytes unread."""

    def __init__(self, unread: int) -> None:
        self._unread = unread
        self.is_aborted = False
        self.written: list[bytes] = []

    def get_write_buffer_size(self) -> int:
        return self._unread

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def write(self, data: bytes) -> None:
        self.written.append(data)


@pytest.mark.parametrize(
    ("unread", "is_cut_off"), [(0, False), (MAX_UNREAD_BYTES, False), (MAX_UNREAD_BYTES + 1, True)]
)
def test_a_client_that_leaves_too_much_unread_is_cut_off(
    unread: int, is_cut_off: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []
    monkeypatch.setattr(WebSocketsSansIOProtocol, "data_received", lambda self, data: received.append(data))
    protocol: Any = BoundedWebSocketProtocol.__new__(BoundedWebSocketProtocol)
    protocol.transport = Transport(unread)
    protocol.data_received(b"ping")
    assert protocol.transport.is_aborted == is_cut_off
    assert received == ([] if is_cut_off else [b"ping"])


async def test_nothing_is_written_to_a_client_that_is_gone() -> None:
    protocol: Any = BoundedWebSocketProtocol.__new__(BoundedWebSocketProtocol)
    protocol.transport, protocol.writable = Transport(0), asyncio.Event()
    sending = asyncio.create_task(protocol.send({"type": "websocket.send", "text": "late"}))
    await asyncio.sleep(0)
    protocol.transport.abort()
    protocol.writable.set()
    with pytest.raises(ClientDisconnected):
        await sending
    assert protocol.transport.written == []
