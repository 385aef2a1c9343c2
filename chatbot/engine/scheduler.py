"""Decides what the next step computes: every decoding row, and prompts within a budget of tokens.

Pure: no tensors, no threads. Prompts are admitted in the order they came, as slots get free, and those being computed
take turns, so that one long prompt delays others by a share of a step and not by its whole length.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chatbot.engine.base import EngineBusy
from chatbot.engine.slots import Slot, SlotTable

CopyPrefix = Callable[[int, int, int], None]
"""Copies KV: from slot, to slot, how many tokens."""
SMALLEST_CHUNK = 32


@dataclass(slots=True, eq=False)
class Row:
    """One generation on its way through the engine."""

    session: str
    prompt: list[int]
    max_tokens: int
    """How many tokens the reply may have; clipped to what the context has room for."""
    digest: str | None = None
    """Content digest of the adapter; None is the plain base."""
    slot: Slot | None = None
    cached: int = 0
    reply: list[int] = field(default_factory=list)
    submitted_at: float = field(default_factory=time.perf_counter)
    first_token_at: float | None = None
    is_cancelled: bool = False

    @property
    def computed(self) -> int:
        """Tokens of prompt and reply whose KV is in the slot."""
        return 0 if self.slot is None else len(self.slot.tokens)

    @property
    def is_decoding(self) -> bool:
        return bool(self.reply)


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, slots=True)
class Step(Generic[RowT]):
    """What to compute now."""

    decode: list[RowT]
    """Rows that get one more token, sorted by slot."""
    prefill: list[tuple[RowT, int]]
    """Rows whose prompt is not computed yet, and up to which position it shall be now."""


class Scheduler(Generic[RowT]):
    """The waiting and running generations of one engine."""

    def __init__(self, slots: SlotTable, *, max_waiting: int, prefill_tokens: int) -> None:
        self._slots = slots
        self._max_waiting = max_waiting
        self._prefill_tokens = prefill_tokens
        self._waiting: deque[RowT] = deque()
        self._prefilling: deque[RowT] = deque()
        self._decoding: list[RowT] = []

    @property
    def rows(self) -> list[RowT]:
        """All rows, waiting and running."""
        return [*self._waiting, *self._prefilling, *self._decoding]

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._prefilling or self._decoding)

    def submit(self, row: RowT) -> None:
        """Queue a row. Raises EngineBusy if as many wait as may wait."""
        held = len(self._prefilling) + len(self._decoding)
        if held + len(self._waiting) >= len(self._slots.slots) + self._max_waiting:
            raise EngineBusy(f"{self._max_waiting} generations are waiting already; try again later")
        self._waiting.append(row)

    def plan(self, copy_prefix: CopyPrefix) -> Step[RowT]:
        """Drop cancelled rows, admit waiting ones while there are slots, and return the next step."""
        for row in [row for row in self.rows if row.is_cancelled]:
            self.remove(row)
        self._admit(copy_prefix)
        return Step(list(self._decoding), self._share_budget())

    def began(self, row: RowT) -> None:
        """The row's prompt is computed and its first token drawn: from now on it decodes."""
        self._prefilling.remove(row)
        self._decoding.append(row)
        self._decoding.sort(key=_slot_index)

    def remove(self, row: RowT) -> None:
        """Take a row out, wherever it is; its KV stays in the slot for the session's next turn."""
        for rows in (self._waiting, self._prefilling, self._decoding):
            if row in rows:
                rows.remove(row)
        if row.slot is not None:
            self._slots.release(row.slot)
            row.slot = None

    def _admit(self, copy_prefix: CopyPrefix) -> None:
        while self._waiting:
            row = self._waiting[0]
            admission = self._slots.admit(row.session, row.prompt, row.digest)
            if admission is None:
                return
            if admission.donor is not None:
                copy_prefix(admission.donor.index, admission.slot.index, admission.cached)
            row.slot, row.cached = admission.slot, admission.cached
            self._prefilling.append(self._waiting.popleft())

    def _share_budget(self) -> list[tuple[RowT, int]]:
        """Give each prompt its share of the budget, what the short ones leave to the others; the first changes."""
        left = self._prefill_tokens
        shares: list[tuple[RowT, int]] = []
        rows = list(self._prefilling)
        self._prefilling.rotate(-1)
        for i, row in enumerate(rows):
            share = max(SMALLEST_CHUNK, left // (len(rows) - i))
            take = min(share, left, len(row.prompt) - row.computed)
            if take <= 0:
                break
            shares.append((row, row.computed + take))
            left -= take
        return shares


def by_adapter(
    shares: Sequence[tuple[RowT, int]],
) -> list[list[tuple[RowT, int]]]:
    """Group prompt chunks by adapter, in the order in which each adapter first appears."""
    groups: dict[str | None, list[tuple[RowT, int]]] = {}
    for row, end in shares:
        groups.setdefault(row.digest, []).append((row, end))
    return list(groups.values())


def _slot_index(row: Row) -> int:
    assert row.slot is not None
    return row.slot.index
