"""One SQLite file, one connection, one thread: a reported write survives the death of the process.

SQLite keeps a rollback journal (`journal_mode = PERSIST`), not a write-ahead log:

- Between two transactions the whole ledger is in its main file, so that a lost or stale file beside it loses nothing.
- A forked child that closes its copy of the connection changes nothing.
- On a full disk the blocks of the journal are already allocated.
- The race of SQLite 3.7.0 to 3.51.2, in which two connections that reset a write-ahead log can lose commits, cannot
  happen.

Its disadvantage: commits wait while another connection reads. Therefore this package reads in pages (`export`,
`maintenance`). Measured with SQLite 3.40.1 on ext4 on a virtual disk, where 32 rows at a time passed through three
commits: a write-ahead log reached 10,000 rows per second, and 5,600 beside a reader that counted all rows in a loop; a
rollback journal reached 4,600 to 9,200, and 8,500 beside the reader. Both are far above any rate limit.
"""

import asyncio
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError
from pyannote_voiceprint_async.sqlite_transaction import atomic

from .connection import BUSY_TIMEOUT
from .exclusive_access import compact
from .ownership import mark_closed, mark_open
from .rescue import rescue
from .reserve import FREE_STEPS, free_reserve
from .sqlite_errors import is_busy, is_full, lock_timeout_error, write_error

__all__ = ["Database"]

T = TypeVar("T")

# Seconds for which a batch of writes waits for another program that has locked the ledger, during a run and at its end.
_LOCK_TIMEOUT, _FINAL_LOCK_TIMEOUT = 60.0, 1.0
# Seconds after which a wait for another program is reported, and for which SQLite waits in each attempt.
_REPORT_AFTER, _ATTEMPT_TIMEOUT = 2.0, 0.2
# Seconds that a commit waits for more writes if the last commit held several. The five disk syncs of a commit cost as
# much CPU time as dozens of rows, so fewer commits are faster.
_GATHER_SECONDS = 0.01


class Write(NamedTuple, Generic[T]):
    """A function that writes, and the future of its caller."""

    work: Callable[[sqlite3.Connection], T]
    done: asyncio.Future[T] | None
    is_urgent: bool


class Database:
    """Run all reads and writes of one run in a thread, and all writes through `atomic()`.

    Writes that arrive during a commit are committed together. After a commit of several writes, the next waits 10 ms
    for more of them; otherwise a write is committed at once.

    Args:
        connection: a writable connection that no other object uses.
        path: its file. The constructor blocks: it checks the whole file and marks it as open.
        on_lock_wait: called in the event loop with True when another program has kept the ledger locked for some
            seconds, and with False when the wait is over.

    Raises:
        LedgerError: see `mark_open`. The connection stays open.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, on_lock_wait: Callable[[bool], None] | None = None
    ) -> None:
        self._owner = mark_open(connection, path)
        # For a rescue. It is closed after SQLite's descriptor, because closing it releases all locks of the process.
        self._descriptor = os.open(path, os.O_RDONLY)
        self._connection = connection
        self._path = path
        self._file_id = _file_id(path)
        self._on_lock_wait = on_lock_wait
        self._lost: LedgerError | None = None
        self._lock_timeout = _LOCK_TIMEOUT
        self._is_ending = False
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._writes: list[Write[Any]] = []
        self._last_batch = 0
        self._batches = 0  # in the thread
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        # A fork must not copy an open transaction: closing the copy would roll it back.
        self.in_transaction = threading.Lock()
        _databases.add(self)

    async def atomic(self, work: Callable[[sqlite3.Connection], T], *, is_urgent: bool = False) -> T:
        """Run a function in a transaction, and return its result when the data is on the disk.

        The function runs even if the caller is canceled.

        Args:
            work: the function.
            is_urgent: on a full disk, use the reserve for job ids.

        Raises:
            LedgerError: the transaction failed, and nothing of it was written.
        """
        self._refuse_child()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(Write(work, done, is_urgent))
        return await done

    def write_later(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Queue a function for a transaction, without waiting for the commit."""
        self._refuse_child()
        self._enqueue(Write(work, None, is_urgent=False))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function that writes nothing but temporary tables. It sees all earlier writes.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        self._refuse_child()
        self._start_batch()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    async def compact(self) -> None:
        """Rewrite the file so that it keeps no byte of deleted rows.

        Raises:
            LedgerError: another program reads the file.
        """
        self._refuse_child()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._compact)

    def shorten_lock_waits(self) -> None:
        """Wait at most a second for other programs from now on: the run is about to end."""
        self._is_ending = True
        self._lock_timeout = _FINAL_LOCK_TIMEOUT

    async def aclose(self) -> None:
        """Write what is queued, and close the file."""
        if self._is_child:
            return  # the connection belongs to the parent process
        await self._idle.wait()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def close(self) -> None:
        """Close the file at once. No write may be queued."""
        if self._is_child:
            return
        self._thread.shutdown(wait=False)
        self._close()

    @property
    def _is_child(self) -> bool:
        return self._owner.process != os.getpid()

    def _refuse_child(self) -> None:
        if self._is_child:
            raise LedgerInUseError(
                "This ledger was opened before a fork and belongs to the parent process. Open the ledger in the "
                "process that uses it, and start other processes with `spawn` or before the run."
            )

    def _enqueue(self, write: Write[Any]) -> None:
        self._writes.append(write)
        if self._idle.is_set():
            self._idle.clear()
            self._loop = asyncio.get_running_loop()
            self._schedule_batch(self._loop)

    def _schedule_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not before the next turn of the loop, so that all tasks of this turn share the commit.
        loop.call_later(_GATHER_SECONDS if self._last_batch > 1 else 0.0, self._start_batch)

    def _start_batch(self) -> None:
        """Pass the queued writes to the thread. Does nothing if there are none: a read may have started them."""
        if not self._writes:
            return
        writes, self._writes = self._writes, []
        self._last_batch = len(writes)
        self._batches += 1
        batch = asyncio.get_running_loop().run_in_executor(self._thread, self._write, writes)
        batch.add_done_callback(lambda done: self._finish_batch(writes, done))

    def _finish_batch(self, writes: list[Write[Any]], batch: "asyncio.Future[list[Any]]") -> None:
        self._batches -= 1
        for write, outcome in zip(writes, batch.result(), strict=True):
            if write.done is None or write.done.done():
                continue  # the caller does not wait, or was canceled
            if isinstance(outcome, BaseException):
                write.done.set_exception(outcome)
            else:
                write.done.set_result(outcome)
        if self._writes:
            self._schedule_batch(batch.get_loop())
        elif not self._batches:
            self._idle.set()

    # In the thread

    def _close(self) -> None:
        if self._lost is None:
            mark_closed(self._connection, self._path, self._owner)
        self._connection.close()
        os.close(self._descriptor)

    def _write(self, writes: Sequence[Write[Any]]) -> list[Any]:
        """Commit all writes together. If that fails, commit each by itself, so that one error fails one write."""
        works = [write.work for write in writes]
        try:
            return self._commit(works)
        except LedgerError as exc:
            return [exc] * len(works)  # the error concerns the file, so every write would fail
        except Exception as exc:  # noqa: BLE001 - raised to the caller of each write
            if len(works) > 1:
                return [outcome for write in writes for outcome in self._write([write])]
            if writes[0].is_urgent and is_full(exc):
                return self._write_into_reserve(works, exc)
            return [write_error(self._path, exc)]

    def _write_into_reserve(self, works: list[Callable[[sqlite3.Connection], Any]], full: Exception) -> list[Any]:
        try:
            # The reserve holds zeros: overwriting freed blocks would need room in the journal.
            self._connection.execute("PRAGMA secure_delete = OFF")
            for blocks in FREE_STEPS:
                with suppress(sqlite3.Error):
                    return self._commit([partial(free_reserve, blocks=blocks), *works])[1:]
        except Exception as exc:  # noqa: BLE001 - raised to the caller of the write
            return [exc]
        finally:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA secure_delete = ON")
        return [write_error(self._path, full)]

    def _commit(self, works: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        self._refuse_lost_file()
        with self.in_transaction, atomic(self._connection, self._execute_when_unlocked):
            self._owner.check(self._connection)
            return [work(self._connection) for work in works]

    def _execute_when_unlocked(self, statement: str) -> None:
        """Run BEGIN or COMMIT, and wait for other programs that have the file locked."""
        started, is_reported = time.monotonic(), False
        self._connection.execute(f"PRAGMA busy_timeout = {int(_ATTEMPT_TIMEOUT * 1000)}")
        try:
            while True:
                try:
                    self._connection.execute(statement)
                    if not self._is_ending:
                        self._lock_timeout = _LOCK_TIMEOUT
                    return
                except sqlite3.OperationalError as exc:
                    waited = time.monotonic() - started
                    if not is_busy(exc):
                        raise
                    if waited >= self._lock_timeout:
                        # While the same lock lasts, the next batches must not wait as long again.
                        self._lock_timeout = _FINAL_LOCK_TIMEOUT
                        raise lock_timeout_error(waited) from None
                if waited >= _REPORT_AFTER and not is_reported:
                    is_reported = True
                    self._report_lock_wait(is_waiting=True)
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
            if is_reported:
                self._report_lock_wait(is_waiting=False)

    def _report_lock_wait(self, *, is_waiting: bool) -> None:
        if self._on_lock_wait is not None and self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._on_lock_wait, is_waiting)

    def _refuse_lost_file(self) -> None:
        """Stop if the path leads to another file or to none: SQLite would write a journal for the wrong file."""
        if self._lost is None and _file_id(self._path) != self._file_id:
            self._lost = rescue(self._descriptor, self._path)
        if self._lost is not None:
            raise self._lost

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._refuse_lost_file()
        try:
            return work(self._connection)
        except sqlite3.Error as exc:
            raise LedgerError(f"The ledger cannot be read ({exc}).") from None

    def _compact(self) -> None:
        self._refuse_lost_file()
        with self.in_transaction:
            self._owner.check(self._connection)
            compact(self._connection)


_databases: "weakref.WeakSet[Database]" = weakref.WeakSet()
_locked_for_fork: list[Database] = []


def _before_fork() -> None:
    _locked_for_fork[:] = _databases
    for database in _locked_for_fork:
        database.in_transaction.acquire()


def _after_fork() -> None:
    for database in _locked_for_fork:
        database.in_transaction.release()
    _locked_for_fork.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
