"""Short read transactions on query-only connections.

A read that began runs to its end even if its caller is cancelled: a connection cut off in the middle would
have to be thrown away.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.errors import StorageBusy, StorageClosed
from storage.sqlite_errors import translate

T = TypeVar("T")


class Reader:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run the query in one snapshot of the database and return what it returns."""
        if self._closed:
            raise StorageClosed("expected an open store, but it is closed; open it again")
        task = asyncio.create_task(self._run(query))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for the reads that run, then close every connection."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._engine.dispose()

    async def _run(self, query: Callable[[Connection], T]) -> T:
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(query)
        except DBAPIError as error:
            raise translate(error) from error
        except TimeoutError as error:
            raise StorageBusy("expected a free reader within 30 s, but all are in use; try again") from error

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Retrieved here too, for the caller may have gone.
            task.exception()
