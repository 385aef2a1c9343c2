"""What a chat says that tries to have typed text become control tokens."""

from collections.abc import Callable, Mapping
from typing import Any

BRACKETS = "<|>[]{}/ "
UNSEEN = "\u200b"
WIDE = {ord(character): ord(character) + 0xFEE0 for character in map(chr, range(ord("!"), ord("~") + 1))}
DISGUISES: tuple[Callable[[str], str], ...] = (
    str.upper,
    lambda token: token.translate(WIDE),
    lambda token: "".join(character + "\u0301" for character in token),
)
"""What normalizers undo that fold case, take wide letters for narrow ones, or strip accents."""


def hostile_texts(added: Mapping[int, Any]) -> list[str]:
    """Return what a user and an assistant say in turn, given a tokenizer's added tokens; as in any chat, a user ends.

    Every token is said whole; bare, for a template that puts brackets around texts; with an unseen character in it, for
    one that removes some; and disguised, where it is looked for after normalizing. One is divided among neighbours, for
    a template that puts nothing between them.
    """
    tokens = [token.content for token in added.values()]
    normalized = [token.content for token in added.values() if token.normalized]
    texts = ["".join(tokens), *dict.fromkeys(token.strip(BRACKETS) for token in tokens)]
    texts += ["".join(token[:1] + UNSEEN + token[1:] for token in tokens)]
    texts += ["".join(map(disguise, normalized)) for disguise in DISGUISES if normalized]
    first, second = _halves(max((token.content for token in added.values() if token.special), key=len, default="xx"))
    texts += [first, second, "x", first, second]
    if len(texts) % 2 == 0:
        texts.append("x")
    return [text or "x" for text in texts]


def _halves(token: str) -> tuple[str, str]:
    return token[: len(token) // 2], token[len(token) // 2 :]
