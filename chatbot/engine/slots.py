"""Which tokens each KV slot holds, for whom, and where the next prompt goes.

The invariant: KV is reused only for an equal token prefix under the same adapter content digest. Keying by name
instead is how other engines came to answer with the wrong persona (llama.cpp#26207, vllm#42125).
Pure bookkeeping: the tensors are in kv.py.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

WORTH_COPYING_TOKENS = 16
"""A prefix in another slot must be this much longer than the own one: a copy costs about one small prefill."""


@dataclass(slots=True, eq=False)
class Slot:
    """One row of the KV tensors and what is in it."""

    index: int
    tokens: list[int] = field(default_factory=list)
    """Tokens whose keys and values are in the slot, from position 0 on."""
    adapter: str | None = None
    """Content digest of the adapter that made the KV; None is the plain base."""
    session: str | None = None
    last_used: float = 0.0
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """Where a prompt goes and how much of it is there already."""

    slot: Slot
    cached: int
    """Prompt tokens whose KV is usable; always less than the prompt, so that there is a token to compute."""
    donor: Slot | None = None
    """Slot whose first `cached` tokens of KV have to be copied over, if they are not in `slot` itself."""


class SlotTable:
    """All slots of an engine."""

    def __init__(self, count: int) -> None:
        self.slots = [Slot(index) for index in range(count)]

    def admit(self, session: str, prompt: Sequence[int], adapter: str | None) -> Admission | None:
        """Take a slot for this prompt, or return None while all are busy.

        The session's own slot comes first, then an empty one, then the idle one that was used longest ago.
        If another slot begins with more of the prompt (a persona's instructions, a forked conversation), it is
        the donor.
        """
        slot = self._choose(session)
        if slot is None:
            return None
        limit = len(prompt) - 1
        own = min(limit, _shared(slot, prompt, adapter))
        donor, theirs = self._best_donor(slot, prompt, adapter, limit)
        if donor is not None and theirs < own + WORTH_COPYING_TOKENS:
            donor = None
        cached = own if donor is None else theirs
        slot.tokens = list(prompt[:cached])
        slot.adapter, slot.session, slot.is_busy = adapter, session, True
        return Admission(slot, cached, donor)

    def release(self, slot: Slot) -> None:
        """Give a slot back; its KV stays for the session's next turn."""
        slot.is_busy = False
        slot.last_used = time.monotonic()

    def forget(self, slot: Slot) -> None:
        """Drop what a slot holds, after its KV may have been left half-written."""
        slot.tokens, slot.adapter, slot.session = [], None, None

    def _choose(self, session: str) -> Slot | None:
        idle = [slot for slot in self.slots if not slot.is_busy]
        own = next((slot for slot in idle if slot.session == session), None)
        return own or min(idle, key=lambda slot: (bool(slot.tokens), slot.last_used), default=None)

    def _best_donor(
        self, taker: Slot, prompt: Sequence[int], adapter: str | None, limit: int
    ) -> tuple[Slot | None, int]:
        best, length = None, 0
        for slot in self.slots:
            if slot is not taker and (shared := min(limit, _shared(slot, prompt, adapter))) > length:
                best, length = slot, shared
        return best, length


def _shared(slot: Slot, prompt: Sequence[int], adapter: str | None) -> int:
    """Return how many tokens of the prompt the slot's KV can stand for."""
    if slot.adapter != adapter:
        return 0
    return common_prefix(slot.tokens, prompt)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the length of the longest common beginning of two sequences.

    >>> common_prefix([1, 2, 3], [1, 2, 4, 5])
    2
    """
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(i for i in range(length) if a[i] != b[i])
