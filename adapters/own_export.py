"""A conversation that `conversations export` wrote, as a chat to learn from: what was said to its end. Pure.

Conversations are not written to be learned from: a reply may have been broken off, or the last message not answered.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from adapters.shapes import RawTurn

KEYS = frozenset({"id", "instructions", "metadata", "messages"})
"""Those of an export's line, which no other shape has together."""
STANDING = ("system", "developer")


def is_export(row: Mapping[str, Any]) -> bool:
    return row.keys() >= KEYS


def whole_exchanges(row: Mapping[str, Any], turns: Sequence[RawTurn]) -> tuple[tuple[RawTurn, ...], bool]:
    """Return the longest beginning of a conversation in which each message has a finished reply, and whether it is cut.

    Before it comes the system turn that the model was given. `turns` are those of the row's messages, after that of a
    "system" beside them. No turn comes back where not even the first message has a reply.
    """
    head = list(takewhile(lambda turn: turn.role in STANDING, turns))
    is_finished = [True] * (len(turns) - len(row["messages"]))
    is_finished += [message.get("status", "completed") == "completed" for message in row["messages"]]
    rest = list(zip(turns, is_finished, strict=True))[len(head) :]
    exchanges = zip(rest[::2], rest[1::2], strict=False)
    said = [turn for pair in takewhile(_is_answered, exchanges) for turn, _ in pair]
    system = _system(row["instructions"], head) if said else ()
    return (*system, *said), len(said) < max(1, len(rest))


def _is_answered(exchange: tuple[tuple[RawTurn, bool], tuple[RawTurn, bool]]) -> bool:
    (message, _), (reply, is_finished) = exchange
    are_in_turn = (message.role, reply.role) == ("user", "assistant")
    return are_in_turn and is_finished and bool(message.text.strip() and reply.text.strip())


def _system(instructions: object, head: Sequence[RawTurn]) -> tuple[RawTurn, ...]:
    told = [instructions if isinstance(instructions, str) else "", *(turn.text for turn in head)]
    system = "\n".join(text for text in told if text.strip())
    return (RawTurn("system", system),) if system else ()
