"""An engine that is loaded when a test says so."""

import contextlib
import threading
from pathlib import Path

from chatbot.engine.base import EngineError
from chatbot.engine.loading import LoadingEngine
from chatbot.engine.room import Room
from tests.fake_engine import FakeEngine


class SlowLoading(LoadingEngine):
    """Loads `engine` once `may_load` is set, and fails with `fault` then if there is one."""

    def __init__(self, engine: FakeEngine, fault: Exception | None = None, kv_dir: Path | None = None) -> None:
        super().__init__(engine.base, self._make_slowly, Room(2, 1), kv_dir)
        self.may_load = threading.Event()
        self._slow, self._fault = engine, fault

    def _make_slowly(self) -> FakeEngine:
        self.may_load.wait()
        if self._fault is not None:
            raise self._fault
        return self._slow

    async def loads(self) -> None:
        """Let the model be loaded, or fail to be, and return after that."""
        self.may_load.set()
        with contextlib.suppress(EngineError):
            await self.wait_loaded()
