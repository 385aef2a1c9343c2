"""Work that goes on while the user does something else; what is refused is told where it was asked for."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from chatbot.client import ChatbotError, RequestRejected
from tui.shown import Shown


class Background:
    """Tasks of one session."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        # Any: tasks end with nothing of interest.
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_idle(self) -> bool:
        return not self._tasks

    def spawn(self, work: Coroutine[Any, Any, Any], sheet: str | None = None) -> None:
        """Begin something for the chat that a sheet belongs to, by default the one that is open now."""
        task = asyncio.create_task(self.told(work, sheet or self._shown.state.sheet))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def told(self, work: Coroutine[Any, Any, Any], sheet: str | None = None) -> None:
        """Do something for the user; a refusal is told in the transcript."""
        try:
            await work
        except RequestRejected as refusal:
            self._shown.note(f"The server refused: {refusal.message}", sheet)
        except ChatbotError as error:
            self._shown.note(f"That did not work: {error}", sheet)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
