"""The engine's thread: plan a step, compute it, draw tokens, hand all text of the step over at once.

A failure ends the generation that caused it. A batch that fails is computed again row by row to find which one that
is; KV is written to the same places, so this is safe. Lack of memory is answered by freeing what can be made again and
by smaller steps, and ends a generation only if not even the smallest fits.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from chatbot.engine.acceptance import accepted
from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.attention import Chunk
from chatbot.engine.base import Delta, Finish, GenerationFailed, Usage
from chatbot.engine.detokenize import ReplyText
from chatbot.engine.drafting import Drafter, Drafting
from chatbot.engine.heartbeat import Clock, Heartbeat
from chatbot.engine.kv_tiers import KVTiers
from chatbot.engine.out_of_memory import is_out_of_memory
from chatbot.engine.prefill_budget import SMALLEST_CHUNK, PrefillBudget
from chatbot.engine.runner import Runner
from chatbot.engine.sampling import NO_TOKEN, RowSampler, sample
from chatbot.engine.scheduler import Row, Scheduler, Step, by_adapter
from chatbot.engine.slots import SlotTable

Event = Delta | Finish | GenerationFailed
Drafts = dict["Generation", list[int]]
"""Tokens that may come next, verified by being computed together with the last token of the reply."""
Computed = tuple[list["Generation"], Drafts, torch.Tensor]
"""Rows, the drafts of some of them, and logits `[rows + drafted tokens, vocabulary]`."""
STOPPED = "the engine was stopped"
STOP_WITHIN_S = 10.0
"""How long `stop` waits for the current step; a thread that is stuck for good must not keep the server from ending."""
log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False, kw_only=True)
class Generation(Row):
    """A row with what it takes to turn its logits into text."""

    sampler: RowSampler
    text: ReplyText
    adapter: LoraAdapter | None = None
    drafter: Drafter | None = None


Deliver = Callable[[list[tuple[Generation, Event]]], None]
Compute = Callable[[list[Generation]], list[Computed]]


class Worker:
    """Runs all generations of an engine in one thread. Its public methods may be called from any thread."""

    def __init__(
        self,
        runner: Runner,
        budget: PrefillBudget,
        *,
        end_ids: frozenset[int],
        max_waiting: int,
        threads: int,
        speculative: bool,
        tiers: KVTiers,
        deliver: Deliver,
        clock: Clock = time.monotonic,
    ) -> None:
        self._runner = runner
        self._budget = budget
        self._end_ids = end_ids
        self._threads = threads
        self._deliver = deliver
        self._drafting = Drafting(end_ids) if speculative else None
        self._tiers = tiers.over(runner.kv)
        self._slots = SlotTable(runner.kv.shape.slots, self._tiers)
        self._scheduler: Scheduler[Generation] = Scheduler(self._slots, budget, max_waiting=max_waiting)
        self._changed = threading.Condition()
        self._ended_because: str | None = None
        self._is_retired = False
        self._events: list[tuple[Generation, Event]] = []
        self._kept_adapters: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="chatbot-engine", daemon=True)
        self.heartbeat = Heartbeat(clock)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its current step; generations still there fail, and the KV of all is kept."""
        self._end(STOPPED)
        self._thread.join(STOP_WITHIN_S)
        if self.is_alive:
            log.warning("the engine's thread did not end within %.0f s; going on without it", STOP_WITHIN_S)

    def retire(self, why: str) -> None:
        """Refuse generations from now on and never deliver anything again, whatever the thread still does.

        For a thread that is stuck, perhaps inside a forward that returns later: it then ends without a word. The
        generations are left to the caller to fail.
        """
        self._is_retired = True
        self._end(why)

    def submit(self, generation: Generation) -> None:
        """Queue a generation. Raises EngineBusy, or GenerationFailed once the thread ended or was told to."""
        with self._changed:
            if self._ended_because is not None:
                raise GenerationFailed(self._ended_because)
            self._scheduler.submit(generation)
            self._changed.notify()

    def keep_adapters(self, digests: set[str]) -> None:
        """Say which adapters are loaded, so that the others' weights are freed once no row uses them."""
        with self._changed:
            self._kept_adapters = digests
            self._changed.notify()

    def resident(self, prompt: Sequence[int], digest: str | None) -> int:
        """Return how many tokens of a prompt are in a slot, as far as can be said without waiting for a step."""
        return self._slots.resident(prompt, digest)

    def forget(self, session: str) -> None:
        """Drop all KV of a session, also what its running generation leaves behind."""
        with self._changed:
            self._scheduler.forget(session)
        self._tiers.forget(session)

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        try:
            while (step := self._next_step()) is not None:
                self._take(step)
                self.heartbeat.rest()
            self._close(self._ended_because or STOPPED)
        except Exception as error:  # the thread's edge: the watchdog finds it ended and starts another
            log.exception("the engine's thread ended by an error outside a step")
            self._end(f"the engine's thread ended: {error}")

    def _end(self, why: str) -> None:
        with self._changed:
            self._ended_because = self._ended_because or why
            self._changed.notify()

    def _close(self, why: str) -> None:
        """Fail what is still there and keep all KV: between two steps it is whole."""
        with self._changed:
            rows = self._scheduler.rows
        for row in rows:
            self._remove(row)
            self._fail(row, why)
        self._flush()
        if not self._is_retired:
            with self._changed:
                self._tiers.keep_all(self._slots.slots)

    def _next_step(self) -> Step[Generation] | None:
        """Wait for work and return what to compute, or None at the end."""
        with self._changed:
            while self._ended_because is None and not self._scheduler.has_work:
                self._runner.bank.release(self._kept_adapters)
                self._slots.keep_ahead()
                self._changed.wait()
            if self._ended_because is not None:
                return None
            self.heartbeat.begin()
            return self._scheduler.plan(self._runner.kv.copy_prefix)

    def _take(self, step: Step[Generation]) -> None:
        """Compute a step and hand over what came of it."""
        try:
            self._compute(step)
        except Exception as error:  # the worker edge: the thread must outlive any one step
            log.exception("engine step failed")
            self._fail_all(f"engine step failed: {error}")
        self._flush()

    def _compute(self, step: Step[Generation]) -> None:
        started = time.perf_counter()
        ready: list[Computed] = []
        if step.decode:
            ready += self._decode_step(step.decode)
            self._budget.note_decode(self._since(started))
        for group in by_adapter(step.prefill):
            ready += self._attempt([row for row, _ in group], partial(self._prefill, dict(group), bool(step.decode)))
        drafted = sum(len(draft) for _, drafts, _ in ready for draft in drafts.values())
        if ready:
            self._draw(ready)
        if self._drafting is not None and step.decode and not step.prefill:
            self._drafting.note(len(step.decode), drafted, time.perf_counter() - started)

    def _decode_step(self, rows: list[Generation]) -> list[Computed]:
        """Compute rows with the drafts that are worth it, or without if that fails."""
        if self._drafting is not None and (drafts := self._drafting.drafts(rows)):
            try:
                return self._decode(drafts, rows)
            except Exception as error:  # such as no memory for so many tokens; a plain step tells whose error it is
                log.warning("a step with drafts failed and is computed without: %s", error)
            self._drafting.pause()
        return self._attempt(rows, partial(self._decode, {}))

    def _attempt(self, rows: list[Generation], compute: Compute, *, is_retry: bool = False) -> list[Computed]:
        """Compute rows together, or one by one if that fails; a row that fails alone is ended."""
        try:
            return compute(rows)
        except Exception as error:  # any error of the model's code ends the row that caused it
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
        chunks = [_reply_chunk(row, drafts.get(row, [])) for row in rows]
        logits = self._runner.decode(chunks, [row.adapter for row in rows])
        _note_computed(rows, [chunk.tokens[:1] for chunk in chunks])
        return [(rows, drafts, logits)]

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
        done = [i for i, row in enumerate(rows) if row.computed == len(row.prompt)]
        return [([rows[i] for i in done], {}, logits[done])] if done else []

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

    def _draw(self, ready: Sequence[Computed]) -> None:
        """Draw the next token of every row with logits, and those after it while its drafts prove right."""
        rows = [(row, drafts.get(row, [])) for some, drafts, _ in ready for row in some]
        logits = ready[0][2] if len(ready) == 1 else torch.cat([some for *_, some in ready])
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
                self._fail(row, f"the reply cannot go on: {error}")

    def _advance(self, row: Generation, draft: Sequence[int], tokens: Sequence[int], now: float) -> None:
        """Add tokens to the reply, up to one that ends it; the slot counts a draft once a token after it is added."""
        for i, token in enumerate(tokens):
            if row.slot is None:
                return
            row.slot.tokens.extend(draft[i - 1 : i])
            self._add(row, token, now)

    def _add(self, row: Generation, token: int, now: float) -> None:
        if token == NO_TOKEN:
            raise GenerationFailed("the model's logits are not finite")
        if row.first_token_at is None:
            row.first_token_at = now
            with self._changed:
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
            first_token_s=row.first_token_at - row.submitted_at,
            total_s=now - row.submitted_at,
        )
        self._remove(row)
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

    def _fail(self, row: Generation, why: str) -> None:
        """End one generation; what its slot holds is not trusted any more."""
        if row.slot is not None:
            self._slots.forget(row.slot)
        self._remove(row)
        self._events.append((row, GenerationFailed(why)))

    def _fail_all(self, why: str) -> None:
        with self._changed:
            rows = self._scheduler.rows
        for row in rows:
            self._fail(row, why)

    def _remove(self, row: Generation) -> None:
        with self._changed:
            self._scheduler.remove(row)

    def _flush(self) -> None:
        events, self._events = self._events, []
        if events and not self._is_retired:
            self._deliver(events)


def _prompt_chunk(row: Generation, end: int) -> Chunk:
    """Return the tokens of a row's prompt that are not computed yet, up to `end`."""
    assert row.slot is not None
    return Chunk(row.slot.index, row.computed, row.prompt[row.computed : end])


def _reply_chunk(row: Generation, draft: Sequence[int]) -> Chunk:
    """Return the last token of a row's reply and a draft after it."""
    assert row.slot is not None
    return Chunk(row.slot.index, row.computed, [row.reply[-1], *draft])


def _note_computed(rows: Sequence[Generation], computed: Sequence[Sequence[int]]) -> None:
    for row, tokens in zip(rows, computed, strict=True):
        assert row.slot is not None
        row.slot.tokens.extend(tokens)
