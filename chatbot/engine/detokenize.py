"""Turns a stream of token ids into a stream of text: whole characters only, and nothing of a stop string.

The invariant: everything `push` and `flush` return, concatenated, equals decoding all ids at once. The one exception
are bytes that are no text from a tokenizer that spells rare characters in bytes: decoded at once they make U+FFFD of
all bytes beside them, of those too that have come out as characters.
"""

import codecs
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

Decode = Callable[[Sequence[int]], str]
REPLACEMENT = "\ufffd"
MOST_HELD = 8
"""Tokens that may wait for the rest of a character: of those beyond, the first ones never become one."""
BEGUN = 3
"""Tokens at the end that may be the beginning of a character, which has at most four bytes."""


class Detokenizer(Protocol):
    def push(self, token: int) -> str:
        """Return the text that this token completes; empty while a character is still half."""

    def flush(self) -> str:
        """Return what was held back, with U+FFFD for a character that never got complete."""


class ByteDetokenizer:
    """For byte-level BPE: each token is a fixed string of bytes, so no decoding window is needed."""

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        known = token < len(self._token_bytes)  # a model's vocabulary may be padded beyond its tokenizer's
        return self._decoder.decode(self._token_bytes[token] if known else b"")

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class WindowDetokenizer:
    """For any tokenizer: decodes a short window twice, since text of a token may depend on the one before."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._window = 0
        """Where decoding starts: the first token of the last piece that was returned."""
        self._settled = 0
        """Tokens whose text was returned."""

    def push(self, token: int) -> str:
        self._ids.append(token)
        before, text = self._texts()
        if len(text) > len(before) and not text.endswith(REPLACEMENT):
            return self._settle(len(self._ids))
        return self._settle(self._cut(text)) if len(self._ids) - self._settled > MOST_HELD else ""

    def flush(self) -> str:
        return self._settle(len(self._ids))

    def _cut(self, text: str) -> int:
        """Return up to where the held tokens can be let go: the texts before and after add up, or else all of them."""
        for cut in range(len(self._ids) - BEGUN, self._settled, -1):
            if self._decode(self._ids[self._window : cut]) + self._decode(self._ids[cut:]) == text:
                return cut
        return len(self._ids)

    def _settle(self, end: int) -> str:
        """Return the text of the held tokens before `end`."""
        before, text = self._texts(end)
        self._window, self._settled = self._settled, end
        return text[len(before) :]

    def _texts(self, end: int | None = None) -> tuple[str, str]:
        """Return what the window has before the held tokens, and with those before `end`."""
        before, text = (
            self._decode(self._ids[self._window : self._settled]),
            self._decode(self._ids[self._window : end]),
        )
        if text.startswith(before):
            return before, text
        self._window = self._settled  # bytes that were returned make other text with those that came
        return "", self._decode(self._ids[self._window : end])


class StopStrings:
    """Lets text pass until a stop string appears, holding back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.hit = False
        """Whether a stop string was found; nothing comes out after it."""

    def push(self, text: str) -> str:
        """Return the part of the text so far that is certainly before any stop string."""
        if not self._stops or self.hit:
            return "" if self.hit else text
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.hit = True
            passed, self._held = self._held[: min(found)], ""
            return passed
        keep = max(_overlap(self._held, stop) for stop in self._stops)
        cut = len(self._held) - keep
        passed, self._held = self._held[:cut], self._held[cut:]
        return passed

    def flush(self) -> str:
        """Return what was held back: the reply ended before it became a stop string."""
        passed, self._held = self._held, ""
        return passed


class ReplyText:
    """The text of one reply as its tokens come in."""

    def __init__(self, detokenizer: Detokenizer, stops: Sequence[str]) -> None:
        self._detokenizer = detokenizer
        self._stops = StopStrings(stops)

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._stops.hit

    def push(self, token: int) -> str:
        """Return the text that can be shown now that this token came."""
        text = self._detokenizer.push(token)
        return self._stops.push(text) if text else ""

    def end(self) -> str:
        """Return the rest of the text; no token follows."""
        rest = self._stops.push(self._detokenizer.flush())
        return rest + self._stops.flush()


def token_byte_table(
    tokenizer: Any,
) -> list[bytes] | None:  # a transformers fast tokenizer; the library is untyped
    """Return the bytes of every token id if the tokenizer is plain byte-level BPE, else None."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if type(getattr(backend, "decoder", None)).__name__ != "ByteLevel":
        return None
    size = len(tokenizer)
    return [_piece_bytes(piece or "") for piece in tokenizer.convert_ids_to_tokens(list(range(size)))]


def _piece_bytes(piece: str) -> bytes:
    """Undo the GPT-2 byte alphabet; a piece with other characters (an added token) stands for itself."""
    alphabet = _byte_alphabet()
    if all(letter in alphabet for letter in piece):
        return bytes(alphabet[letter] for letter in piece)
    return piece.encode()


@lru_cache
def _byte_alphabet() -> dict[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that is a proper beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
