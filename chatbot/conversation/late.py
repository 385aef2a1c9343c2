"""What a full disk did not let be written of ended replies in time is tried again until it is done."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from chatbot.conversation.stream import ResponseLog
from storage.errors import NotFound, StorageBusy, StorageError, StorageFull

logger = structlog.get_logger(__name__)

RETRY_S = 8.0
Write = Callable[[], Awaitable[object]]


class Late:
    """Ended replies that are not stored, or deleted, so far: until then each is found here, as its readers know it."""

    def __init__(self, on_done: Callable[[ResponseLog], None]) -> None:
        self._on_done = on_done
        self._logs: dict[str, ResponseLog] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, response_id: str) -> ResponseLog | None:
        """Return the log of a reply that a write is due for."""
        return self._logs.get(response_id)

    async def write(self, log: ResponseLog, write: Write) -> None:
        """Make a write about a reply, now or as soon as there is room."""
        if not await _is_over(log, write):
            self.go_on(log, write)

    def go_on(self, log: ResponseLog, write: Write) -> None:
        """Try a write about a reply again, later, until it is done or can never be."""
        self._logs[log.response.id] = log
        task = asyncio.create_task(_go_on(log, write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._end(log))

    async def stop(self) -> None:
        """Give up what is not done: the next start of the server mends it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self, log: ResponseLog) -> None:
        del self._logs[log.response.id]
        self._on_done(log)


async def _go_on(log: ResponseLog, write: Write) -> None:
    while True:
        await asyncio.sleep(RETRY_S)
        if await _is_over(log, write):
            return


async def _is_over(log: ResponseLog, write: Write) -> bool:
    """Make the write; False if it should be tried again."""
    try:
        await write()
    except (StorageFull, StorageBusy):
        return False
    except NotFound:  # it was deleted meanwhile
        pass
    except StorageError as error:
        logger.error("reply never stored or deleted", response_id=log.response.id, fault=type(error).__name__)
    return True
