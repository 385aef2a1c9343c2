"""Lengths of streamed deltas as a blob of varints (LEB128): one byte a token in the usual case.

Invariant: decode(encode(lengths)) == tuple(lengths).
"""

from collections.abc import Sequence


def encode(lengths: Sequence[int]) -> bytes:
    """Pack non-negative integers: seven bits a byte, low bits first, high bit set on all but the last."""
    if any(length < 0 for length in lengths):
        raise ValueError("expected delta lengths of zero or more characters, but one is negative")
    if all(length < 0x80 for length in lengths):
        return bytes(lengths)
    blob = bytearray()
    for length in lengths:
        while length >= 0x80:
            blob.append(length & 0x7F | 0x80)
            length >>= 7
        blob.append(length)
    return bytes(blob)


def decode(blob: bytes) -> tuple[int, ...]:
    """Unpack what `encode` made; a blob that stops inside a number is a ValueError."""
    if blob.isascii():
        return tuple(blob)
    lengths: list[int] = []
    value = shift = 0
    for byte in blob:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            lengths.append(value)
            value = shift = 0
    if shift:
        raise ValueError("expected a whole number of varints, but the blob of delta lengths is cut short")
    return tuple(lengths)
