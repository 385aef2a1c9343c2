"""The engine's thread: it plans a step, has it computed and its tokens drawn, and hands all text over at once.

The scheduler is called from several threads, always under one lock, which is not held while the model computes. The
thread outlives any one step: an error that is nobody's in particular ends all generations, and the thread goes on.
Only a broken device ends it, for good.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import torch

from chatbot.engine.base import GenerationFailed
from chatbot.engine.broken_device import is_device_broken, told_briefly
from chatbot.engine.drafting import Drafting
from chatbot.engine.forward import Computed, Forward
from chatbot.engine.generation import Event, Generation
from chatbot.engine.heartbeat import Clock, Heartbeat
from chatbot.engine.kv_tiers import KVTiers
from chatbot.engine.prefill_budget import PrefillBudget
from chatbot.engine.replies import Replies
from chatbot.engine.runner import Runner
from chatbot.engine.scheduler import Scheduler, Step
from chatbot.engine.slots import SlotTable

Deliver = Callable[[list[tuple[Generation, Event]]], None]
STOPPED = "the engine was stopped"
STOP_WITHIN_S = 10.0
"""How long `stop` waits for the current step; a thread that is stuck for good must not keep the server from ending."""
RETIRE_WITHIN_S = 0.1
QUIET_AFTER_S = 0.1
"""How long there is nothing to do before KV that may soon lose its slot is copied: a newcomer waits for the copy."""
log = logging.getLogger(__name__)


class Worker:
    """Runs all generations of an engine in one thread. Its public methods may be called from any thread."""

    def __init__(
        self,
        runner: Runner,
        budget: PrefillBudget,
        *,
        end_ids: frozenset[int],
        threads: int,
        speculative: bool,
        tiers: KVTiers,
        deliver: Deliver,
        clock: Clock = time.monotonic,
    ) -> None:
        self._runner = runner
        self._threads = threads
        self._deliver = deliver
        self._tiers = tiers.over(runner.kv)
        self._slots = SlotTable(runner.kv.shape.slots, self._tiers)
        self._scheduler: Scheduler[Generation] = Scheduler(self._slots, budget)
        self._changed = threading.Condition()
        self._replies = Replies(self._scheduler, self._slots, self._changed, runner.kv, end_ids)
        self._forward = Forward(runner, budget, Drafting(end_ids) if speculative else None, self._replies.fail)
        self._ended_because: str | None = None
        self._is_retired = False
        self._kept_adapters: set[str] = set()
        self._has_unloaded = False
        """Whether an adapter may have to be freed though there is always work."""
        self._thread = threading.Thread(target=self._run, name="chatbot-engine", daemon=True)
        self.heartbeat = Heartbeat(clock)
        self.device_fault = ""
        """Why no thread of this process can compute any more; empty while one can."""

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its current step; generations still there fail, and the KV of all is kept."""
        self._thread.join(STOP_WITHIN_S if self._end(STOPPED, within_s=STOP_WITHIN_S) else 0)
        if self.is_alive:
            log.warning("the engine's thread did not end within %.0f s; going on without it", STOP_WITHIN_S)

    def retire(self, why: str) -> None:
        """Refuse generations from now on and never deliver anything again, whatever the thread still does.

        For a thread that is stuck, perhaps inside a forward that returns later: it then ends without a word. The
        generations are left to the caller to fail.
        """
        self._is_retired = True
        self._end(why, within_s=RETIRE_WITHIN_S)

    def submit(self, generation: Generation) -> None:
        """Queue a generation. Raises GenerationFailed once the thread ended or was told to.

        May wait while the KV of another conversation is copied.
        """
        with self._held():
            if self._ended_because is not None:
                raise GenerationFailed(self._ended_because)
            self._scheduler.submit(generation)
            self._changed.notify()

    def keep_adapters(self, digests: set[str]) -> None:
        """Say which adapters are loaded, so that the others' weights are freed once no row uses them."""
        with suppress(GenerationFailed), self._held():
            self._kept_adapters, self._has_unloaded = digests, True
            self._changed.notify()

    def resident(self, prompt: Sequence[int], digest: str | None) -> int:
        """Return how many tokens of a prompt are in a slot, as far as can be said without waiting for a step."""
        return self._slots.resident(prompt, digest)

    def forget(self, session: str) -> None:
        """Drop all KV of a session, also what its running generation leaves behind."""
        with suppress(GenerationFailed), self._held():
            self._scheduler.forget(session)
        self._tiers.forget(session)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the lock. Raises GenerationFailed where the thread is stuck with it in its hands and was given up."""
        while not self._changed.acquire(timeout=RETIRE_WITHIN_S):
            if self._is_retired:
                raise GenerationFailed(self._ended_because or STOPPED)
        try:
            yield
        finally:
            self._changed.release()

    @torch.inference_mode()  # once for all steps: entering it costs each of them a hundredth of its time on a CPU
    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        try:
            while (step := self._next_step()) is not None:
                self._take(step)
                self.heartbeat.rest()
            self._close(self._ended_because or STOPPED)
        except Exception as error:  # the thread's edge: the watchdog finds it ended and starts another
            log.exception("the engine's thread ended by an error outside a step")
            if is_device_broken(error):
                self.device_fault = f"the device failed for good: {told_briefly(error)}; restart the server"
            self._end(self.device_fault or f"the engine's thread ended: {error}", within_s=STOP_WITHIN_S)

    def _end(self, why: str, *, within_s: float) -> bool:
        """Have the thread end after its step; False if it is stuck with the lock in its hands for so long."""
        self._ended_because = self._ended_because or why
        if not self._changed.acquire(timeout=within_s):
            return False
        self._changed.notify()
        self._changed.release()
        return True

    def _close(self, why: str) -> None:
        """Fail what is still there and keep all KV: between two steps it is whole."""
        with self._changed:
            rows = self._scheduler.rows
        for row in rows:
            self._replies.remove(row)
            self._replies.fail(row, why)
        self._flush()
        if not self._is_retired:
            with self._changed:
                self._tiers.keep_all(self._slots.slots)

    def _next_step(self) -> Step[Generation] | None:
        """Wait for work and return what to compute, or None at the end."""
        is_quiet = False
        with self._changed:
            while self._ended_because is None and not self._scheduler.has_work:
                self._release_adapters()
                if is_quiet:
                    self._slots.keep_ahead()
                is_quiet = not self._changed.wait(None if is_quiet else QUIET_AFTER_S)
            if self._ended_because is not None:
                return None
            if self._has_unloaded:
                self._release_adapters()
            self.heartbeat.begin()
            for row in self._scheduler.cancelled:
                self._replies.remove(row)
            return self._scheduler.plan(self._runner.kv.copy_prefix)

    def _release_adapters(self) -> None:
        """Free the weights of adapters that were unloaded, but for those that a row still uses."""
        used = {row.digest for row in self._scheduler.rows if row.digest is not None}
        self._runner.release_adapters(self._kept_adapters | used)
        self._has_unloaded = not used <= self._kept_adapters

    def _take(self, step: Step[Generation]) -> None:
        """Compute a step and hand over what came of it."""
        try:
            self._compute(step)
        except Exception as error:  # the worker edge: the thread must outlive any one step
            if is_device_broken(error):  # not even a slot could be wiped
                raise
            log.exception("engine step failed")
            for row in step.rows:
                self._replies.fail(row, f"engine step failed: {error}")
        self._flush()

    def _compute(self, step: Step[Generation]) -> None:
        started = time.perf_counter()
        computed = self._forward.compute(step)
        if computed is not None:
            self._draw(computed)
        self._forward.note(step, computed, time.perf_counter() - started)

    def _draw(self, computed: Computed) -> None:
        """Draw the tokens of all rows, or of one after the other if that fails; a row that fails alone is ended.

        What fails is what all rows share, before any of them has remembered its token; a row's own faults end it there.
        """
        try:
            self._replies.draw(computed.rows, computed.logits)
        except Exception as error:
            if is_device_broken(error):
                raise
            why = str(error)
        else:
            return
        log.warning("tokens of %d rows could not be drawn: %s", len(computed.rows), why)
        if len(computed.rows) == 1:
            self._replies.fail(computed.rows[0][0], f"no token could be drawn: {why}")
            return
        self._runner.free_memory()
        for one in computed.one_by_one():
            self._draw(one)

    def _flush(self) -> None:
        events = self._replies.take_events()
        if events and not self._is_retired:
            self._deliver(events)
