"""uvicorn's WebSocket protocol with a limit on what a client may leave unread, and no error in the log for its faults.

Pongs are written without waiting: a client that sends pings and reads nothing would fill our memory one for one.
What the server says itself waits for the client, so honest traffic stays far below the limit.
"""

from typing import TYPE_CHECKING

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

MAX_UNREAD_BYTES = 1024 * 1024


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    def data_received(self, data: bytes) -> None:
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()
            return
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()  # closes as uvicorn does, which would log a traceback too
            return
        super().send_receive_event_to_app()

    async def send(self, message: "ASGISendEvent") -> None:
        await self.writable.wait()
        if message["type"] == "websocket.send" and self.transport.is_closing():
            raise ClientDisconnected  # asyncio would log a warning for each message that nobody gets
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # it was answered, if with no; uvicorn logs an error where none answers


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
