"""Short read transactions on query-only connections, each in a thread from its beginning to its end.

With a change of thread for each statement (aiosqlite) a short read took twice as long. One that began runs to its end
even if its caller is cancelled.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from storage.database import READERS
from storage.errors import StorageClosed
from storage.sqlite_errors import translate

T = TypeVar("T")

SEARCHES: Final = READERS // 2
"""How many searches run at once, so that a turn always finds a connection."""


class Reader:
    def __init__(self, engine: Engine) -> None:
        """`engine` has a connection for each of as many reads as run at once."""
        self._engine = engine
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="storage-reader")
        self._searches = asyncio.Semaphore(SEARCHES)
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run the query in one snapshot of the database and return what it returns."""
        return await self._to_its_end(self._run, query)

    async def search(self, query: Callable[[Connection], T]) -> T:
        """Run a query that reads everything, and so may take long; it waits for others of its kind."""
        return await self._to_its_end(self._run_search, query)

    async def _to_its_end(
        self, run: Callable[[Callable[[Connection], T]], Coroutine[Any, Any, T]], query: Callable[[Connection], T]
    ) -> T:
        if self._closed:
            raise StorageClosed("expected an open store, but it is closed; open it again")
        task = asyncio.create_task(run(query))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for the reads that run, then close every connection."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        self._threads.shutdown()
        self._engine.dispose()

    async def _run_search(self, query: Callable[[Connection], T]) -> T:
        async with self._searches:
            return await self._run(query)

    async def _run(self, query: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, query)

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return query(connection)
        except DBAPIError as error:
            raise translate(error) from error

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Retrieved here too, for the caller may have gone.
            task.exception()
