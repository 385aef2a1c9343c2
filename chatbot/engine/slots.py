"""Which tokens each KV slot holds, for whom, and where the next prompt goes.

The invariant: KV is reused only for an equal token prefix under the same adapter content digest. Keying by name
instead is how other engines came to answer with the wrong persona (llama.cpp#26207, vllm#42125).
Pure bookkeeping: the tensors are in kv.py, and what happens to KV that leaves its slot is in kv_tiers.py.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

WORTH_COPYING_TOKENS = 16
"""A prefix elsewhere must be this much longer than the own one: a copy costs about one small prefill."""
BLOCK_TOKENS = 64
"""How many tokens are compared at once."""


@dataclass(slots=True, eq=False)
class Slot:
    """One row of the KV tensors and what is in it."""

    index: int
    tokens: list[int] = field(default_factory=list)
    """Tokens whose keys and values are in the slot, from position 0 on."""
    adapter: str | None = None
    """Content digest of the adapter that made the KV; None is the plain base."""
    session: str | None = None
    """Whose it is; None if nobody's, as that of a chat which its client keeps."""
    asked: int = 0
    """How many tokens its last prompt had."""
    found: int = 0
    """How many tokens that one had in common with whom it came after: with its own chat's last prompt, or any other."""
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


class Tiers(Protocol):
    """Where KV goes that has to leave its slot, and comes back from."""

    def exchange(self, slot: Slot, session: str, prompt: Sequence[int], adapter: str | None, *, at_least: int) -> None:
        """Keep what is in a slot if it is not of this session and adapter, then bring in kept KV.

        That is the KV which begins with most of the prompt; none, if that is less than `at_least` tokens. The slot's
        tokens and adapter say afterwards what is in it.
        """

    def keep_ahead(self, slot: Slot) -> None:
        """Keep what is in a slot that is still its session's, but would be the next to be taken."""


class SlotTable:
    """All slots of an engine, and the tiers below them if there are any."""

    def __init__(self, count: int, tiers: Tiers | None = None) -> None:
        self.slots = [Slot(index) for index in range(count)]
        self._tiers = tiers

    def admit(self, session: str, prompt: Sequence[int], adapter: str | None) -> Admission | None:
        """Take a slot for this prompt, or return None while all are busy.

        The session's own slot comes first, then one of nobody's with a chat that this prompt goes on with, then an
        empty one, then the idle one that was used longest ago.
        If KV that was kept elsewhere begins with more of the prompt than all slots, it is brought in. If another slot
        begins with more of it (a persona's instructions, a forked conversation), that is the donor.
        """
        grown = self._own(session) or self._gone_on_with(prompt, adapter)
        slot = grown or self._next()
        if slot is None:
            return None
        wanted = prompt[:-1]
        if self._tiers is not None:
            at_least = self.resident(wanted, adapter) + WORTH_COPYING_TOKENS
            self._tiers.exchange(slot, session, wanted, adapter, at_least=at_least)
        own = _shared(slot, wanted, adapter)
        donor, theirs = self._best_donor(slot, wanted, adapter)
        if donor is not None and theirs < own + WORTH_COPYING_TOKENS:
            donor = None
        cached = own if donor is None else theirs
        slot.tokens = list(prompt[:cached])
        slot.adapter, slot.session, slot.is_busy = adapter, session, True
        slot.found = max(own, theirs) if grown is None else min(cached, slot.asked - 1)
        slot.asked = len(prompt)
        return Admission(slot, cached, donor)

    def resident(self, prompt: Sequence[int], adapter: str | None) -> int:
        """Return how many tokens of the prompt are at most in any one slot."""
        return max(_shared(slot, prompt, adapter) for slot in self.slots)

    def keep_ahead(self) -> None:
        """Keep what a new conversation would displace, while there is nothing else to do."""
        if self._tiers is not None and (slot := self._next()) is not None:
            self._tiers.keep_ahead(slot)

    def release(self, slot: Slot) -> None:
        """Give a slot back; its KV stays for the session's next turn."""
        slot.is_busy = False
        slot.last_used = time.monotonic()

    def forget(self, slot: Slot) -> None:
        """Drop what a slot holds, after its KV may have been left half-written."""
        slot.tokens, slot.adapter, slot.session = [], None, None

    def forget_session(self, session: str) -> None:
        """Drop what idle slots hold of a session; a busy one has to be forgotten when it is released."""
        for slot in self.slots:
            if slot.session == session and not slot.is_busy:
                self.forget(slot)

    def _own(self, session: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.session == session and not slot.is_busy), None)

    def _gone_on_with(self, prompt: Sequence[int], adapter: str | None) -> Slot | None:
        """Return the idle slot of nobody's whose chat has grown to this prompt, so that it need not be held twice.

        It has most of that slot's last prompt, and more than that one had in common with whom it came after. Chats
        which share their instructions have no more in common than these.
        """
        idle = [slot for slot in self.slots if slot.session is None and not slot.is_busy]
        shared = {slot.index: _shared(slot, prompt, adapter) for slot in idle}
        grown = (slot for slot in idle if shared[slot.index] > max(slot.found, slot.asked / 2))
        return max(grown, key=lambda slot: shared[slot.index], default=None)

    def _next(self) -> Slot | None:
        """Return the slot that the next new conversation takes."""
        idle = [slot for slot in self.slots if not slot.is_busy]
        return min(idle, key=lambda slot: (bool(slot.tokens), slot.last_used), default=None)

    def _best_donor(self, taker: Slot, prompt: Sequence[int], adapter: str | None) -> tuple[Slot | None, int]:
        best, length = None, 0
        for slot in self.slots:
            if slot is not taker and (shared := _shared(slot, prompt, adapter)) > length:
                best, length = slot, shared
        return best, length


def _shared(slot: Slot, prompt: Sequence[int], adapter: str | None) -> int:
    """Return how many tokens of the prompt the slot's KV can stand for."""
    if slot.adapter != adapter:
        return 0
    return common_prefix(slot.tokens, prompt)


def common_prefix(a: Sequence[object], b: Sequence[object]) -> int:
    """Return the length of the longest common beginning of two sequences.

    >>> common_prefix([1, 2, 3], [1, 2, 4, 5])
    2
    """
    length = min(len(a), len(b))
    for first in range(0, length, BLOCK_TOKENS):
        last = first + BLOCK_TOKENS
        if a[first:last] != b[first:last]:
            return next((i for i in range(first, min(last, length)) if a[i] != b[i]), length)
    return length
