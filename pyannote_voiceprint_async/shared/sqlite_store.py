"""Shared state in SQLite files, for the processes of one machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, TypeVar

from .fleet_window import StepMessage, StepReply
from .store import TABLES, VERSION, Rows, Statement, StoreUnavailableError, step_stored_window

__all__ = ["SqliteStore"]

R = TypeVar("R")

# Seconds for which one call waits for the lock of another process.
_LOCK_TIMEOUT = 1.0
# Seconds between two looks for published jobs.
_LISTEN_INTERVAL = 0.2
# SQLite limits the number of parameters of a statement.
_MAX_IDS = 500


class SqliteStore:
    """Two files: PATH holds submission keys and deliveries, and PATH-permits the rate-limit windows.

    Keys must survive a power failure, so each change is flushed to the disk. Windows are changed often, and may be lost:
    a new window starts carefully. SQLite is used from one thread of this store.

    Args:
        path: the file.
        clock_ms: the clock of the windows in milliseconds, the same for all processes of the machine.
    """

    def __init__(self, path: str | os.PathLike[str], clock_ms: Callable[[], int] | None = None) -> None:
        self._path = Path(os.fspath(path))
        self._clock_ms = clock_ms or _boot_time
        self._thread = ThreadPoolExecutor(1, "pyannote-voiceprint-shared")
        self._keys: sqlite3.Connection | None = None
        self._windows: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._process = 0

    async def open(self) -> None:
        """Connect, and create the files and tables if they are missing."""
        await self._call(self._connected)

    async def step(self, window: str, message: StepMessage) -> StepReply | None:
        """Make one step of a window in one transaction."""
        return await self._call(lambda: self._step(window, message))

    async def run(self, *statements: Statement) -> Rows:
        """Run statements in one durable transaction, and return the rows of the last one."""
        return await self._call(lambda: self._run(statements))

    async def publish(self, statements: Collection[Statement], job_id: str) -> None:
        """Run statements. Listeners look for new rows by themselves."""
        await self.run(*statements)

    async def listen(self, waited_jobs: Callable[[], Collection[str]], notify: Callable[[str], object]) -> None:
        """Look for published jobs every 0.2 s while somebody waits for one; runs until it is cancelled."""
        while True:
            waited = list(waited_jobs())
            for start in range(0, len(waited), _MAX_IDS):
                ids = waited[start : start + _MAX_IDS]
                names = {f"id{index}": job_id for index, job_id in enumerate(ids)}
                places = ", ".join(f":{name}" for name in names)
                with suppress(StoreUnavailableError):
                    for (job_id,) in await self.run(
                        (f"SELECT job_id FROM voiceprint_deliveries WHERE job_id IN ({places})", names)
                    ):
                        notify(job_id)
            await asyncio.sleep(_LISTEN_INTERVAL)

    async def aclose(self) -> None:
        """Close the files."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    # In the thread

    async def _call(self, function: Callable[[], R]) -> R:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        except sqlite3.Error as error:
            raise _unavailable(self._path, error) from None
        except OSError as error:
            raise StoreUnavailableError(
                f"The shared state file {self._path} cannot be used: {error.strerror}.", may_have_happened=False
            ) from None

    def _step(self, window: str, message: StepMessage) -> StepReply | None:
        self._connected()
        assert self._windows is not None
        with _transaction(self._windows) as db:
            row = db.execute("SELECT state FROM windows WHERE name = ?", (window,)).fetchone()
            epoch = secrets.token_hex(8)
            state, reply = step_stored_window(row[0] if row else None, message, self._clock_ms(), epoch)
            if reply is not None:
                db.execute("INSERT OR REPLACE INTO windows VALUES (?, ?)", (window, state))
        return reply

    def _run(self, statements: Collection[Statement]) -> Rows:
        self._connected()
        assert self._keys is not None
        now, rows = str(int(time.time() * 1000)), []
        with _transaction(self._keys) as db:
            for sql, parameters in statements:
                rows = db.execute(sql.replace("{now}", now), parameters).fetchall()
        return rows

    def _connected(self) -> None:
        """Connect on the first call, and in a forked child; check that the file is still the same."""
        if self._process != os.getpid():
            # A connection must not be used in a forked child; its files stay open there until the process ends.
            self._keys, self._windows, self._process = None, None, os.getpid()
        if self._keys is None:
            self._keys = _open(self._path, durable=True)
            self._create_tables(self._keys)
            self._windows = _open(self._path.with_name(self._path.name + "-permits"), durable=False)
            with _transaction(self._windows) as db:
                db.execute("CREATE TABLE IF NOT EXISTS windows (name TEXT PRIMARY KEY, state BLOB NOT NULL)")
            self._inode = _inode(self._path)
        elif _inode(self._path) != self._inode:
            raise StoreUnavailableError(
                f"The shared state file {self._path} was deleted or replaced while this process used it. Other "
                "processes may share another file now: restart all processes that share it.",
                may_have_happened=False,
                is_final=True,
            )

    def _create_tables(self, db: sqlite3.Connection) -> None:
        with _transaction(db):
            for sql in TABLES:
                db.execute(sql)
            row = db.execute("SELECT version FROM voiceprint_version").fetchone()
            if row is None:
                db.execute("INSERT INTO voiceprint_version VALUES (?)", (VERSION,))
            elif row[0] != VERSION:
                raise StoreUnavailableError(
                    f"The shared state file {self._path} has version {row[0]}, and this program needs version "
                    f"{VERSION}. Use the same version of the package in all processes.",
                    may_have_happened=False,
                    is_final=True,
                )

    def _disconnect(self) -> None:
        for db in (self._keys, self._windows):
            if db is not None and self._process == os.getpid():
                db.close()
        self._keys = self._windows = None


def _open(path: Path, *, durable: bool) -> sqlite3.Connection:
    # The file names the jobs of a team: other users of the machine must not read it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = TRUNCATE")
    db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _unavailable(path: Path, error: sqlite3.Error) -> StoreUnavailableError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    is_locked = code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    reason = "another process holds its lock" if is_locked else str(error)
    return StoreUnavailableError(
        f"The shared state file {path} cannot be used: {reason}.",
        may_have_happened=not is_locked and code != sqlite3.SQLITE_READONLY,
        is_final=code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT},
    )


def _boot_time() -> int:
    """Return the milliseconds since the machine started. This clock counts while the machine sleeps, and is never set."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000
