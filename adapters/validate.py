"""Says everything that is wrong with example chats, and gives back those that can be trained on.

Pure apart from reading the files; no torch, no model. A row that comes out of here has known roles in turn, ends with
the assistant, and holds nothing that a template could take for a control token.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from adapters.errors import BadData, Problem
from adapters.formats import RawRow, read_rows
from adapters.shapes import RawTurn
from chatbot.engine.base import ChatMessage, Role

ROLES = ("system", "user", "assistant")
CONTROL_TOKEN = re.compile(
    r"<\|[^<>|\s]{1,40}\|>"  # ours, Llama 3, Qwen, Phi
    r"|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>"
)
UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters other than tab and newline, and lone surrogates."""


@dataclass(frozen=True, slots=True)
class Row:
    """One example chat that can be trained on."""

    file: Path
    line: int
    messages: tuple[ChatMessage, ...]

    @property
    def system(self) -> str | None:
        return self.messages[0].text if self.messages[0].role == "system" else None


@dataclass(frozen=True, slots=True)
class ChatData:
    """All rows of some files, without duplicates."""

    files: tuple[Path, ...]
    sha256: str
    """One digest over the contents of the files, in their order."""
    rows: tuple[Row, ...]
    shapes: Mapping[str, int]
    """How many rows came in each format."""
    duplicates: int
    """Rows that said the same as an earlier one and were dropped."""
    unfinished: int = 0
    """Conversations of an export of which only the beginning is learned, or nothing, for want of a finished reply."""


def read_data(paths: Sequence[Path], on_row: Callable[[], None] = lambda: None) -> ChatData:
    """Return the rows of all files, each read once. Raises BadData with every problem of every file."""
    digest = hashlib.sha256()
    rows: list[Row] = []
    problems: list[Problem] = []
    shapes: dict[str, int] = {}
    unfinished = 0
    for path in paths:
        before = len(rows) + len(problems)
        for read in read_rows(path, lambda written: digest.update(hashlib.sha256(written).digest())):
            on_row()
            if isinstance(read, RawRow) and read.is_cut:
                unfinished += 1
                if not read.turns:
                    continue
            found = [read] if isinstance(read, Problem) else list(problems_of(read))
            problems += found
            if isinstance(read, RawRow) and not found:
                rows.append(_row(read))
                shapes[read.shape] = shapes.get(read.shape, 0) + 1
        if len(rows) + len(problems) == before:
            problems.append(Problem(path, 1, "no rows in the file to learn from (write one chat on each line)"))
    if problems:
        raise BadData(problems)
    unique = {row.messages: row for row in reversed(rows)}
    kept = tuple(row for row in rows if unique[row.messages] is row)
    return ChatData(tuple(paths), digest.hexdigest(), kept, shapes, len(rows) - len(kept), unfinished)


def problems_of(row: RawRow) -> Iterator[Problem]:
    """Yield everything that is wrong with one row."""
    for text in [*_wrong_turns(row.turns), *_wrong_order(row.turns)]:
        yield Problem(row.file, row.line, row.place + text)


def control_token_in(text: str) -> str | None:
    """Return the first thing in a text that looks like a chat template's control token."""
    match = CONTROL_TOKEN.search(text)
    return match[0] if match else None


def _row(raw: RawRow) -> Row:
    messages = tuple(ChatMessage(cast("Role", turn.role), turn.text.strip()) for turn in raw.turns)
    return Row(raw.file, raw.line, messages)


def _wrong_turns(turns: Sequence[RawTurn]) -> Iterator[str]:
    for number, turn in enumerate(turns, 1):
        if turn.role not in ROLES:
            yield f'turn {number}: role "{turn.role}" unknown (use "{_meant(turn.role)}")'
        if fault := _fault_in_text(turn.text):
            yield f"turn {number}: {fault}"


def _fault_in_text(text: str) -> str | None:
    if not text.strip():
        return "empty text (write something or remove the turn)"
    if token := control_token_in(text):
        return f'control token "{token}" in the text (remove it; the chat template adds its own)'
    if match := UNWANTED.search(text):
        code = ord(match[0])
        if code >= 0xD800:
            return f"half a character (lone surrogate U+{code:04X}; write the whole character)"
        return f"control character U+{code:04X} in the text (remove it)"
    return None


def _wrong_order(turns: Sequence[RawTurn]) -> Iterator[str]:
    """Yield what is wrong with who speaks when; turns with an unknown role have been told already."""
    if not turns:
        yield "no turns (a chat is at least one user and one assistant turn)"
        return
    roles = [turn.role for turn in turns]
    if "assistant" not in roles and all(role in ROLES for role in roles):
        yield "no assistant turn (there is nothing to learn from; add the answer)"
        return
    first = 1 if roles[0] == "system" else 0
    for index in range(first, len(roles)):
        before = roles[index - 1] if index > first else None
        if roles[index] == "system":
            yield f"turn {index + 1}: a system turn inside the chat (only the first turn can be one)"
        elif before is None and roles[index] == "assistant":
            yield f"turn {index + 1}: the chat begins with the assistant (put a user turn before it)"
        elif before == roles[index] and before in ROLES:
            yield f"turn {index + 1}: two {before} turns in a row (join them, or add the turn between)"
    if roles[-1] == "user":
        yield f"turn {len(roles)}: the chat ends with the user (add the answer or remove the turn)"


def _meant(role: str) -> str:
    near = get_close_matches(role.strip().lower(), ROLES, n=1)
    return near[0] if near else '" or "'.join(ROLES)
