"""Work that goes on while the user does something else; what is refused is told."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from chatbot.client import ChatbotError, RequestRejected


class Background:
    """Tasks of one session."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        # Any: tasks end with nothing of interest.
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_idle(self) -> bool:
        return not self._tasks

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(self.told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def told(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something for the user; a refusal is told in the transcript."""
        try:
            await work
        except RequestRejected as refusal:
            self._note(f"The server refused: {refusal.message}")
        except ChatbotError as error:
            self._note(f"That did not work: {error}")

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
