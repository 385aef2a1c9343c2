"""Decides what the next step computes: every decoding row, and prompts within a budget of time.

Pure: no tensors, no threads. Users take turns in getting slots, and so do the conversations of each; prompts that are
being computed share a step's budget in the same way, so that a long one delays others by a share of a step and not by
its whole length.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

from chatbot.engine.fairness import Claim, FairQueue, split_nested
from chatbot.engine.prefill_budget import SMALLEST_CHUNK, PrefillBudget
from chatbot.engine.prefill_rate import PrefillRate
from chatbot.engine.slots import Slot, SlotTable

CopyPrefix = Callable[[int, int, int], None]
"""Copies KV: from slot, to slot, how many tokens."""


@dataclass(slots=True, eq=False)
class Row:
    """One generation on its way through the engine."""

    session: str
    prompt: list[int]
    max_tokens: int
    """How many tokens the reply may have; clipped to what the context has room for."""
    user: str | None = None
    """Who asks; None is one user like any other."""
    digest: str | None = None
    """Content digest of the adapter; None is the plain base."""
    slot: Slot | None = None
    cached: int = 0
    reply: list[int] = field(default_factory=list)
    asked_at: float = field(default_factory=time.perf_counter)
    first_token_at: float | None = None
    is_cancelled: bool = False
    leaves_kv: bool = True
    """Whether its KV may be used by the session's next turn."""
    is_stateless: bool = False
    """Whether its KV is nobody's afterwards: for whoever begins alike, as long as it is in its slot."""

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

    @property
    def rows(self) -> list[RowT]:
        """All rows of the step."""
        return [*self.decode, *(row for row, _ in self.prefill)]


class Scheduler(Generic[RowT]):
    """The waiting and running generations of one engine."""

    def __init__(self, slots: SlotTable, budget: PrefillBudget) -> None:
        self._slots = slots
        self._budget = budget
        self._waiting: FairQueue[RowT] = FairQueue()
        self._prefilling: FairQueue[RowT] = FairQueue()
        self._decoding: list[RowT] = []

    @property
    def rows(self) -> list[RowT]:
        """All rows, waiting and running."""
        return [*self._waiting.items(), *self._prefilling.items(), *self._decoding]

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._prefilling or self._decoding)

    @property
    def cancelled(self) -> list[RowT]:
        """Rows that nobody wants any more, to be removed before the next step is planned."""
        return [row for row in self.rows if row.is_cancelled]

    def submit(self, row: RowT) -> None:
        """Queue a row, however many wait: how many may is for those to say who ask (room.py)."""
        self._waiting.add(row)

    def plan(self, copy_prefix: CopyPrefix) -> Step[RowT]:
        """Admit waiting rows while there are slots, and return the next step."""
        self._admit(copy_prefix)
        return Step(list(self._decoding), self._share_budget())

    def began(self, row: RowT) -> None:
        """The row's prompt is computed and its first token drawn: from now on it decodes."""
        self._prefilling.discard(row)
        self._decoding.append(row)
        self._decoding.sort(key=_slot_index)

    def remove(self, row: RowT) -> None:
        """Take a row out, wherever it is; its KV stays in the slot for the session's next turn."""
        self._waiting.discard(row)
        self._prefilling.discard(row)
        if row in self._decoding:
            self._decoding.remove(row)
        if row.slot is not None:
            self._slots.release(row.slot)
            if not row.leaves_kv:
                self._slots.forget(row.slot)
            elif row.is_stateless:
                row.slot.session = None
            row.slot = None

    def forget(self, session: str) -> None:
        """Drop the KV of a session: that in idle slots now, that of its rows when they are removed."""
        self._slots.forget_session(session)
        for row in self.rows:
            if row.session == session:
                row.leaves_kv = False

    def _admit(self, copy_prefix: CopyPrefix) -> None:
        while turns := self._waiting.turns():
            row = turns[0][0]
            admission = self._slots.admit(row.session, row.prompt, row.digest)
            if admission is None:
                return
            if admission.donor is not None:
                copy_prefix(admission.donor.index, admission.slot.index, admission.cached)
            row.slot, row.cached = admission.slot, admission.cached
            self._waiting.end_turn(row)
            self._waiting.discard(row)
            self._prefilling.add(row)

    def _share_budget(self) -> list[tuple[RowT, int]]:
        """Say up to where each prompt is computed now; who got a share has the last turn next time."""
        turns, rate = self._prefilling.turns(), self._budget.rate
        if not turns:
            return []
        by_work = split_nested(
            self._budget.work(is_streaming=bool(self._decoding)),
            [[_work_claim(row, rate) for row in rows] for rows in turns],
        )
        by_count = split_nested(self._budget.most_tokens, [[_token_claim(row) for row in rows] for rows in turns])
        ends: list[tuple[RowT, int]] = []
        for row, work, count in zip(chain.from_iterable(turns), by_work, by_count, strict=True):
            if tokens := min(rate.tokens(row.computed, work), int(count)):
                ends.append((row, row.computed + tokens))
        for row, _ in ends:
            self._prefilling.end_turn(row)
        return ends


def _work_claim(row: Row, rate: PrefillRate) -> Claim:
    start, end = row.computed, len(row.prompt)
    return Claim(rate.work(start, min(end, start + SMALLEST_CHUNK)), rate.work(start, end))


def _token_claim(row: Row) -> Claim:
    left = len(row.prompt) - row.computed
    return Claim(min(left, SMALLEST_CHUNK), left)


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
