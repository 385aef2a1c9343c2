"""Turns logits into replies: draws tokens, keeps the drafts that proved right, and ends replies that are complete.

What is said gathers until it is taken, so that all text of a step is handed over at once.
"""

import logging
import threading
import time
from collections.abc import Sequence

import torch

from chatbot.engine.acceptance import accepted
from chatbot.engine.base import Delta, Finish, GenerationFailed, Usage
from chatbot.engine.generation import Event, Generation
from chatbot.engine.kv import SlotKV
from chatbot.engine.sampling import NO_TOKEN, sample
from chatbot.engine.scheduler import Scheduler
from chatbot.engine.slots import Slot, SlotTable

log = logging.getLogger(__name__)


class Replies:
    """The replies of one worker. Used from its thread."""

    def __init__(
        self,
        scheduler: Scheduler[Generation],
        slots: SlotTable,
        lock: threading.Condition,
        kv: SlotKV,
        end_ids: frozenset[int],
    ) -> None:
        """lock: is held around each call of the scheduler, which other threads call too.

        kv: what the slots hold; of a row that failed it may not be numbers, and is wiped.
        end_ids: tokens that end a reply and are no part of it.
        """
        self._scheduler = scheduler
        self._slots = slots
        self._lock = lock
        self._kv = kv
        self._end_ids = end_ids
        self._events: list[tuple[Generation, Event]] = []

    def take_events(self) -> list[tuple[Generation, Event]]:
        """Return what was said since the last call."""
        events, self._events = self._events, []
        return events

    def draw(self, rows: Sequence[tuple[Generation, Sequence[int]]], logits: torch.Tensor) -> None:
        """Draw the next token of every row, and those after it while its draft proves right.

        rows: with their drafts, for each of whose tokens there are logits too.
        """
        samplers = [row.sampler.ahead(draft) for row, draft in rows]
        tokens = iter(sample(logits, [sampler for some in samplers for sampler in some]))
        now = time.perf_counter()
        for (row, draft), ahead in zip(rows, samplers, strict=True):
            kept = accepted(draft, [next(tokens) for _ in ahead]) if draft else [next(tokens)]
            row.sampler = ahead[len(kept) - 1]
            try:
                self._advance(row, draft, kept, now)
            except Exception as error:  # a row that cannot go on must not take its neighbours with it
                log.warning("generation failed: %s", error)
                self.fail(row, f"the reply cannot go on: {error}")

    def fail(self, row: Generation, why: str) -> None:
        """End one generation; what its slot holds is not trusted any more."""
        if row.slot is not None:
            self._wipe(row.slot)
        self.remove(row)
        self._events.append((row, GenerationFailed(why)))

    def remove(self, row: Generation) -> None:
        """Take a row out without a word; its KV stays in the slot, unless it was never read and is not numbers."""
        if row.slot is not None and row.first_token_at is None and not self._is_finite(row.slot):
            self._wipe(row.slot)
        with self._lock:
            self._scheduler.remove(row)

    def _is_finite(self, slot: Slot) -> bool:
        return not slot.tokens or self._kv.is_finite(slot.index, len(slot.tokens) - 1)

    def _wipe(self, slot: Slot) -> None:
        """Make zeros of all that a slot holds, of earlier rows too."""
        self._slots.forget(slot)
        self._kv.wipe_written(slot.index)

    def _advance(self, row: Generation, draft: Sequence[int], tokens: Sequence[int], now: float) -> None:
        """Add tokens to the reply, up to one that ends it; the slot counts a draft once a token after it is added."""
        for i, token in enumerate(tokens):
            if row.slot is None:
                return
            row.slot.tokens.extend(draft[i - 1 : i])
            self._add(row, token, now)

    def _add(self, row: Generation, token: int, now: float) -> None:
        if token == NO_TOKEN:
            raise GenerationFailed("the logits are not finite, or not after penalties and temperature")
        if row.first_token_at is None:
            row.first_token_at = now
            with self._lock:
                self._scheduler.began(row)
        if token in self._end_ids:
            self._finish(row, "stop", now, drawn=len(row.reply) + 1)
            return
        row.reply.append(token)
        self._say(row, row.text.push(token))
        if row.text.is_stopped:
            self._finish(row, "stop", now, drawn=len(row.reply))
        elif len(row.reply) >= row.max_tokens:
            self._finish(row, "length", now, drawn=len(row.reply))

    def _finish(self, row: Generation, reason: str, now: float, *, drawn: int) -> None:
        self._say(row, row.text.end())
        if row.text.is_stopped:
            reason = "stop"
        assert row.first_token_at is not None
        usage = Usage(
            prompt_tokens=len(row.prompt),
            cached_tokens=row.cached,
            completion_tokens=drawn,
            first_token_s=row.first_token_at - row.asked_at,
            total_s=now - row.asked_at,
        )
        self.remove(row)
        self._events.append((row, Finish("length" if reason == "length" else "stop", usage)))

    def _say(self, row: Generation, text: str) -> None:
        """Add to what the row says in this step: one delta, however many tokens."""
        if not text:
            return
        last = self._events[-1] if self._events else None
        if last is not None and last[0] is row and isinstance(last[1], Delta):
            self._events[-1] = (row, Delta(last[1].text + text))
        else:
            self._events.append((row, Delta(text)))
