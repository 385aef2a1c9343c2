"""Computes a step: rows with the drafts that are worth it, then chunks of prompts, and returns rows with logits.

A batch that fails is computed again row by row to find which row that is; KV is written to the same places, so this is
safe. Lack of memory is answered by freeing what can be made again and by smaller steps, and ends a generation only if
not even the smallest fits.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch

from chatbot.engine.attention import Chunk
from chatbot.engine.broken_device import is_device_broken
from chatbot.engine.drafting import Drafting
from chatbot.engine.generation import Generation
from chatbot.engine.out_of_memory import is_out_of_memory
from chatbot.engine.prefill_budget import SMALLEST_CHUNK, PrefillBudget
from chatbot.engine.runner import Runner
from chatbot.engine.scheduler import Step, by_adapter

log = logging.getLogger(__name__)


class Computed(NamedTuple):
    """Rows whose next token can be drawn."""

    rows: list[tuple[Generation, list[int]]]
    """Each with its draft, empty if it has none: tokens that were computed as if they came next."""
    logits: torch.Tensor
    """`[rows + drafted tokens, vocabulary]`, a row's own before those after its draft."""

    @property
    def drafted(self) -> int:
        """How many tokens were drafted for all rows."""
        return sum(len(draft) for _, draft in self.rows)

    def one_by_one(self) -> Iterator["Computed"]:
        """Yield each row with its own logits."""
        first = 0
        for row, draft in self.rows:
            last = first + 1 + len(draft)
            yield Computed([(row, draft)], self.logits[first:last])
            first = last


Drafts = dict[Generation, list[int]]
Compute = Callable[[list[Generation]], list[Computed]]
Fail = Callable[[Generation, str], None]
"""Ends a generation that cannot be computed, for the reason given."""


class Forward:
    """Computes the steps of one runner, and learns from each what the next may hold. Used from one thread."""

    def __init__(self, runner: Runner, budget: PrefillBudget, drafting: Drafting | None, fail: Fail) -> None:
        self._runner = runner
        self._budget = budget
        self.drafting = drafting
        """Without it, no row gets a draft."""
        self._fail = fail

    def compute(self, step: Step[Generation]) -> Computed | None:
        """Compute a step and return the rows whose next token can be drawn, or None if there are none.

        Raises what no row can be blamed for: that the device is broken.
        """
        started = time.perf_counter()
        ready: list[Computed] = []
        if step.decode:
            ready += self._decode_step(step.decode)
            self._budget.note_decode(self._since(started))
        for group in by_adapter(step.prefill):
            ready += self._attempt([row for row, _ in group], partial(self._prefill, dict(group), bool(step.decode)))
        return _joined(ready)

    def note(self, step: Step[Generation], computed: Computed | None, seconds: float) -> None:
        """Learn how long a step took from its beginning until its tokens were drawn: drafts must be worth all of it."""
        if self.drafting is not None and step.decode and not step.prefill:
            self.drafting.note(len(step.decode), computed.drafted if computed else 0, seconds)

    def _decode_step(self, rows: list[Generation]) -> list[Computed]:
        """Compute rows with the drafts that are worth it, or without if that fails."""
        if self.drafting is not None and (drafts := self.drafting.drafts(rows)):
            try:
                return self._decode(drafts, rows)
            except Exception as error:  # such as no memory for so many tokens; a plain step tells whose error it is
                if is_device_broken(error):
                    raise
                log.warning("a step with drafts failed and is computed without: %s", error)
            self.drafting.pause()
            self._runner.free_memory()
        return self._attempt(rows, partial(self._decode, {}))

    def _attempt(self, rows: list[Generation], compute: Compute, *, is_retry: bool = False) -> list[Computed]:
        """Compute rows together, or one by one if that fails; a row that fails alone is ended."""
        try:
            return compute(rows)
        except Exception as error:  # any error of the model's code ends the row that caused it
            if is_device_broken(error):
                raise
            why, is_memory_out = str(error), is_out_of_memory(error)
        # Past the except block: within it, the traceback keeps the tensors of the failed forward alive.
        if is_memory_out:
            self._give_way(tokens=len(rows))
        if len(rows) > 1:
            return [done for row in rows for done in self._attempt([row], compute)]
        if is_memory_out and not is_retry:
            return self._attempt(rows, compute, is_retry=True)
        log.warning("generation failed: %s", why)
        self._fail(rows[0], f"the model failed: {why}")
        return []

    def _decode(self, drafts: Drafts, rows: list[Generation]) -> list[Computed]:
        """Compute the last token of each reply, which is not in the slot yet, and the drafts after it."""
        drafted = [(row, drafts.get(row, [])) for row in rows]
        chunks = [_reply_chunk(row, draft) for row, draft in drafted]
        logits = self._runner.decode(chunks, [row.adapter for row in rows])
        _note_computed(rows, [chunk.tokens[:1] for chunk in chunks])
        return [Computed(drafted, logits)]

    def _prefill(self, ends: dict[Generation, int], is_streaming: bool, rows: list[Generation]) -> list[Computed]:
        """Compute prompt chunks of one adapter and return logits of the rows whose prompt is complete.

        If memory does not suffice, nothing is computed, and the next step has smaller chunks while there are any.
        """
        chunks = [_prompt_chunk(row, ends[row]) for row in rows]
        tokens = sum(len(chunk.tokens) for chunk in chunks)
        logits, started = None, time.perf_counter()
        try:
            logits = self._runner.prefill(chunks, rows[0].adapter)
        except Exception as error:
            if tokens <= SMALLEST_CHUNK or not is_out_of_memory(error):
                raise
        if logits is None:
            self._give_way(tokens)
            return []
        work = sum(self._budget.rate.work(chunk.start, chunk.end) for chunk in chunks)
        self._budget.note_prefill(work, self._since(started), is_streaming=is_streaming)
        _note_computed(rows, [chunk.tokens for chunk in chunks])
        done: list[tuple[Generation, list[int]]] = [(row, []) for row in rows if row.computed == len(row.prompt)]
        return [Computed(done, logits)] if done else []

    def _give_way(self, tokens: int) -> None:
        """Free what can be made again, after memory did not suffice for so many tokens, and take smaller steps."""
        if not self._budget.is_short_of_memory:
            log.warning("out of memory with %d tokens in a step; going on with smaller steps", tokens)
        self._budget.note_out_of_memory(tokens)
        self._runner.free_memory()

    def _since(self, started: float) -> float:
        """Return the seconds since then, the work given to the device included."""
        self._runner.wait_for_device()
        return time.perf_counter() - started


def _joined(parts: Sequence[Computed]) -> Computed | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return Computed([row for part in parts for row in part.rows], torch.cat([part.logits for part in parts]))


def _prompt_chunk(row: Generation, end: int) -> Chunk:
    """Return the tokens of a row's prompt that are not computed yet, up to `end`."""
    assert row.slot is not None
    return Chunk(row.slot.index, row.computed, row.prompt[row.computed : end], wants_logits=end == len(row.prompt))


def _reply_chunk(row: Generation, draft: Sequence[int]) -> Chunk:
    """Return the last token of a row's reply and a draft after it."""
    assert row.slot is not None
    return Chunk(row.slot.index, row.computed, [row.reply[-1], *draft])


def _note_computed(rows: Sequence[Generation], computed: Sequence[Sequence[int]]) -> None:
    for row, tokens in zip(rows, computed, strict=True):
        assert row.slot is not None
        row.slot.tokens.extend(tokens)
