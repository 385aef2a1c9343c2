"""A WebSocket client that is nothing but frames."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

Frame = dict[str, Any]
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


class Frames:
    """Sends objects and reads them."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def read(self) -> Frame:
        frame: Frame = json.loads(await self.connection.recv())
        return frame

    async def until(self, *types: str) -> list[Frame]:
        """Read up to and with the first frame of one of the types."""
        frames = [await self.read()]
        while frames[-1]["type"] not in types:
            frames.append(await self.read())
        return frames

    async def turn(self, text: str, **fields: Any) -> list[Frame]:
        """Say something and read its reply to the end."""
        await self.send(type="response.create", input=text, **fields)
        return await self.until(*TERMINAL)

    def vanish(self) -> None:
        """Be gone without a word: a close would wait for a server that is stuck with what was not read."""
        self.connection.transport.abort()


@asynccontextmanager
async def frames(url: str, **options: Any) -> AsyncIterator[Frames]:
    """Connect to the responses socket of a server."""
    address = url.replace("http", "ws", 1) + "/v1/responses"
    async with connect(address, max_size=None, compression=None, proxy=None, **options) as connection:
        yield Frames(connection)
