"""The lines of a request body, however long that is, and text on its way back in pieces worth sending."""

from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from chatbot.protocol.errors import InvalidRequest

MAX_LINE_BYTES = 64 * 1024 * 1024
PIECE_CHARS = 64 * 1024


async def numbered_lines(request: Request) -> AsyncIterator[tuple[int, bytes | None]]:
    """Yield the lines of a body that are not empty, each with its number; None in the place of one that is too long.

    Raises InvalidRequest if the client leaves before its request is whole.
    """
    number, line = 1, bytearray()
    try:
        async for chunk in request.stream():
            *ended, rest = chunk.split(b"\n")
            for part in ended:
                _grow(line, part)
                if line.strip():
                    yield number, _whole(line)
                number, line = number + 1, bytearray()
            _grow(line, rest)
    except ClientDisconnect:
        raise InvalidRequest("client_left", "the client left before its request was whole") from None
    if line.strip():
        yield number, _whole(line)


def _grow(line: bytearray, part: bytes) -> None:
    """Add to a line, but no more than it takes to know that it is too long."""
    line += part[: MAX_LINE_BYTES + 1 - len(line)]


def _whole(line: bytearray) -> bytes | None:
    return bytes(line) if len(line) <= MAX_LINE_BYTES else None


async def in_large_pieces(text: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield the same text in pieces of 64 Ki characters and more."""
    held: list[str] = []
    size = 0
    async for piece in text:
        held.append(piece)
        size += len(piece)
        if size >= PIECE_CHARS:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)
