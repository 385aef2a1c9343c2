"""Notices an engine thread that is stuck or dead, says so, and has it replaced; a limited number of times.

On a broken device no other thread could compute either: then it gives up at once.
The thread cannot be stopped from outside: one that is stuck is left where it is, and its worker is retired.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from chatbot.engine.base import Health
from chatbot.engine.heartbeat import Clock, Heartbeat

CHECK_EVERY_S = 1.0
FIRST_STEP_FACTOR = 10
"""The first step of a worker may take so many times as long: kernels are loaded and graphs captured then."""
MOST_RESTARTS = 3
RESTART_WINDOW_S = 600.0
"""More than MOST_RESTARTS in this time, and a new thread is no remedy: the process has to be restarted."""
log = logging.getLogger(__name__)


class Watched(Protocol):
    """A worker, as the watchdog sees it."""

    @property
    def heartbeat(self) -> Heartbeat: ...

    @property
    def is_alive(self) -> bool: ...

    @property
    def device_fault(self) -> str: ...


Replace = Callable[[str], Awaitable[Watched]]
"""Retires the worker for the reason given and returns a new one that runs."""
GiveUp = Callable[[str], None]
"""Retires the worker for the reason given, and with it all that is asked for now or later."""


class Watchdog:
    """Looks after one worker at a time. Used from one event loop."""

    def __init__(
        self, worker: Watched, replace: Replace, give_up: GiveUp, *, stuck_after_s: float, clock: Clock
    ) -> None:
        self._worker = worker
        self._replace = replace
        self._give_up = give_up
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._restarts: deque[float] = deque()
        self._trouble = ""
        """Why the engine is being replaced, or why it is not any more; empty while all is well."""
        self._has_given_up = False

    def health(self) -> Health:
        """Say whether the worker answers, as of now and not of the last check."""
        trouble = self._trouble or self._fault()
        return Health("engine_failed", trouble) if trouble else Health()

    async def watch(self) -> None:
        """Check again and again, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await self.check()

    async def check(self) -> None:
        """Have the worker replaced if it is stuck or dead, unless that is of no use."""
        fault = self._fault()
        if not fault or self._has_given_up:
            return
        if self._worker.device_fault:
            self._end_with(fault)
        elif not self._may_restart():
            self._end_with(f"{fault}; it was restarted {MOST_RESTARTS} times already: restart the server")
        else:
            await self._restart(fault)

    async def _restart(self, fault: str) -> None:
        log.error("restarting the engine: %s", fault)
        self._trouble = f"the engine is being restarted: {fault}"
        try:
            self._worker = await self._replace(fault)
        except Exception:  # whatever kept it from starting, the next check tries again
            log.exception("the engine could not be restarted")
        else:
            self._trouble = ""

    def _end_with(self, trouble: str) -> None:
        self._has_given_up = True
        self._trouble = trouble
        log.error("giving up on the engine: %s", trouble)
        self._give_up(trouble)

    def _may_restart(self) -> bool:
        """Count a restart, unless there were too many lately."""
        now = self._clock()
        while self._restarts and self._restarts[0] < now - RESTART_WINDOW_S:
            self._restarts.popleft()
        if len(self._restarts) >= MOST_RESTARTS:
            return False
        self._restarts.append(now)
        return True

    def _fault(self) -> str:
        """Return what is wrong with the worker, or an empty string."""
        heartbeat = self._worker.heartbeat
        if self._worker.device_fault:
            return self._worker.device_fault
        if not self._worker.is_alive:
            return "the engine's thread has ended"
        busy_s = heartbeat.busy_s()
        limit_s = self._stuck_after_s * (1 if heartbeat.steps else FIRST_STEP_FACTOR)
        if busy_s > limit_s:
            return f"a step of the engine has been running for {busy_s:.0f} s, over the limit of {limit_s:.0f} s"
        return ""
