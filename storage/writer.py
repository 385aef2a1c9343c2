"""The one task that writes. Callers hand it functions; it runs all that wait in one transaction.

That is group commit: one fsync for many callers. Invariant: an operation is acknowledged only after COMMIT.
Each runs in a SAVEPOINT, so that one that fails takes no other with it. A cancelled caller does not stop its
operation: cancelled means unknown, ask by key.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import Connection

from storage.database import BUSY_TIMEOUT_MS
from storage.errors import StorageBroken, StorageClosed, StorageError, StorageForeign
from storage.file_identity import FileIdentity
from storage.sqlite_errors import reaches_batch, result_code, translate

T = TypeVar("T")
Erasing = Literal["none", "soon", "now"]

QUEUE_LIMIT: Final = 1_024
BATCH_LIMIT: Final = 256
ERASE_WAIT_MS: Final = 200
"""How long all writes wait for readers, for who deletes to hear only when the text is gone."""
ERASE_RETRY_S: Final = 1.0
"""How often it is tried after that, where no write comes that tries it too."""
WAL_STEP_BYTES: Final = 32 * 1024 * 1024
"""Growth of the WAL after which it is emptied: while reads overlap, SQLite itself never begins it anew."""
WAL_WAIT_MS: Final = 1_000
"""How long all writes wait for readers then, at most; the larger it is, the longer."""


@dataclass(frozen=True, slots=True)
class _Operation:
    run: Callable[[Connection], Any]
    done: asyncio.Future[Any]
    erases: Erasing


@dataclass(frozen=True, slots=True)
class _Outcome:
    result: Any = None
    error: BaseException | None = None


class Writer:
    def __init__(self, connection: Connection, identity: FileIdentity) -> None:
        self._connection = connection
        self._identity = identity
        self._pending: deque[_Operation] = deque()
        self._room = asyncio.Semaphore(QUEUE_LIMIT)
        self._wake = asyncio.Event()
        self._closed = False
        self._erase_is_due = False
        self._wal_limit_bytes = WAL_STEP_BYTES
        self._broken: asyncio.Future[StorageBroken] = asyncio.get_running_loop().create_future()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storage-writer")
        self._task = asyncio.create_task(self._serve(), name="storage writer")

    async def submit(self, operation: Callable[[Connection], T], *, erases: Erasing = "none") -> T:
        """Run the operation in the next transaction; return its result once that is on the disk.

        Args:
            operation: called once, in the writer's thread; what it raises is raised here, its changes undone.
            erases: "now": the WAL is emptied before the acknowledgement, so that deleted text is in no file; where a
                reader is in the way for longer (a backup), soon after that has gone. "soon": no write waits for
                readers.
        """
        await self._room.acquire()
        try:
            self._refuse_if_stopped()
        except BaseException:
            self._room.release()
            raise
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append(_Operation(operation, done, erases))
        self._wake.set()
        return await done

    @property
    def broken(self) -> StorageBroken | None:
        """The fatal error, if there was one."""
        return self._broken.result() if self._broken.done() else None

    async def wait_until_broken(self) -> StorageBroken:
        """Return the fatal error when there is one; a server waits for it in order to stop."""
        return await asyncio.shield(self._broken)

    async def close(self) -> None:
        """Commit what was submitted, then close the connection. Calling it again does nothing."""
        self._closed = True
        self._wake.set()
        await asyncio.wait({self._task})
        if not self._connection.closed:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _refuse_if_stopped(self) -> None:
        if self.broken is not None:
            raise StorageBroken(str(self.broken)) from self.broken
        if self._closed:
            raise StorageClosed("expected an open store, but it is closed; open it again")

    async def _serve(self) -> None:
        try:
            while not self._closed or self._pending:
                await self._wait_for_work()
                while self._pending:
                    await self._serve_batch()
        finally:
            self._closed = True
            # Only if this task was cancelled is anything left.
            for operation in self._pending:
                operation.done.cancel()

    async def _wait_for_work(self) -> None:
        """Wait for an operation or the end; meanwhile an erase that is due is tried again, by an empty batch."""
        while self._erase_is_due:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), ERASE_RETRY_S)
                break
            await self._serve_batch()
        await self._wake.wait()
        self._wake.clear()

    async def _serve_batch(self) -> None:
        batch = [self._pending.popleft() for _ in range(min(BATCH_LIMIT, len(self._pending)))]
        outcomes = await self._outcomes(batch)
        for operation, outcome in zip(batch, outcomes, strict=True):
            _resolve(operation.done, outcome)
            self._room.release()

    async def _outcomes(self, batch: Sequence[_Operation]) -> Sequence[_Outcome]:
        """Outcome of each operation; all share one error if the transaction as a whole failed."""
        try:
            if self.broken is not None:
                raise StorageBroken(str(self.broken)) from self.broken
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, batch)
        # The writer outlives every error: whatever it is, it goes to those who wait.
        except Exception as error:
            failure = translate(error)
            if isinstance(failure, StorageForeign):
                failure = StorageBroken(str(failure))
            if isinstance(failure, StorageBroken) and not self._broken.done():
                self._broken.set_result(failure)
            return [_Outcome(error=_separate(failure, error)) for _ in batch]

    # In the writer's thread

    def _commit(self, batch: Sequence[_Operation]) -> Sequence[_Outcome]:
        self._identity.verify()
        with self._connection.begin():
            outcomes = [_run_one(self._connection, operation.run) for operation in batch]
        # Once more: a file that vanished in between holds none of what was just committed.
        self._identity.verify()
        wanted = {operation.erases for operation in batch}
        if self._erase_is_due or wanted & {"soon", "now"}:
            self._erase_is_due = not self._empty_wal(ERASE_WAIT_MS if "now" in wanted else 0)
        self._bound_wal()
        return outcomes

    def _bound_wal(self) -> None:
        """Empty a WAL that has grown; where a read outlasts the wait, again once it has grown as much more."""
        size_bytes = self._identity.wal.stat().st_size
        if size_bytes > self._wal_limit_bytes:
            wait_ms = min(ERASE_WAIT_MS * size_bytes // WAL_STEP_BYTES, WAL_WAIT_MS)
            left_bytes = 0 if self._empty_wal(wait_ms) else size_bytes
            self._wal_limit_bytes = left_bytes + WAL_STEP_BYTES

    def _empty_wal(self, wait_ms: int) -> bool:
        """Move the WAL into the database and cut it to nothing; False if a reader or a full disk is in the way."""
        cursor = self._connection.connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout={wait_ms}")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (is_busy, _, _) = cursor.fetchone() or (1, 0, 0)
            return not is_busy
        except sqlite3.OperationalError as error:
            # The rows are committed; a full disk only delays the emptying.
            if result_code(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                raise
            return False
        finally:
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.close()

    def _disconnect(self) -> None:
        self._connection.close()
        self._connection.engine.dispose()


def _run_one(db: Connection, run: Callable[[Connection], Any]) -> _Outcome:
    savepoint = db.begin_nested()
    try:
        result = run(db)
    except Exception as error:
        if reaches_batch(error):
            raise
        savepoint.rollback()
        failure = translate(error)
        if failure is not error:
            failure.__cause__ = error
        return _Outcome(error=failure)
    savepoint.commit()
    return _Outcome(result=result)


def _separate(failure: BaseException, cause: BaseException) -> BaseException:
    """An exception object for one caller: shared ones would collect the tracebacks of all."""
    if not isinstance(failure, StorageError):
        return failure
    own = type(failure)(*failure.args)
    own.__cause__ = cause
    return own


def _resolve(done: asyncio.Future[Any], outcome: _Outcome) -> None:
    # A cancelled caller's future is done already; nobody is left to tell.
    if done.done():
        return
    if outcome.error is not None:
        done.set_exception(outcome.error)
    else:
        done.set_result(outcome.result)
