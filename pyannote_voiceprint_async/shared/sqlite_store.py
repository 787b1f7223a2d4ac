"""Shared state in SQLite files, for the processes of one machine."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from pyannote_voiceprint_async.sqlite_transaction import atomic

from .file_system import network_file_system
from .fleet_window import FleetWindow, StepMessage, StepReply
from .store import (
    TABLES,
    VERSION,
    VERSION_TABLE,
    Rows,
    Statement,
    StoreUnavailableError,
    load_windows,
    step_stored_window,
)

__all__ = ["SqliteStore"]

R = TypeVar("R")

# Seconds for which one call waits for the lock of another process.
_LOCK_TIMEOUT = 1.0
# The same for keys: each change is flushed to the disk, which takes longer.
_KEYS_LOCK_TIMEOUT = 5.0
_LEAST_LOCK_TIMEOUT = 0.05
# Seconds between two reads of the deliveries, while a process waits for some.
_LISTEN_INTERVAL = 0.2
# Another try after one of these fails in the same way.
_FINAL_CODES = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}
_DAMAGED_CODES = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_LOCKED_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# The primary code of an extended result code of SQLite.
_PRIMARY_CODE = 0xFF
_DELETE_WINDOWS = (
    " It holds rate limits only. Stop all processes that share it, delete this one file, and start them again."
)
_RESTORE_KEYS = " Restore it from a backup: without its submission keys, repeated calls are billed again."
_TEMPORARY_ERRORS = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}


class _Files(NamedTuple):
    """The open files of a store."""

    keys: sqlite3.Connection
    windows: sqlite3.Connection
    identity: tuple[tuple[int, int] | None, ...]
    process: int


class SqliteStore:
    """Two files: PATH holds submission keys and deliveries, PATH-permits the rate-limit windows.

    Keys must survive a power failure, so each change is flushed to the disk. Windows are changed often, and may be
    lost: a new window grants no permits until its members have reported what they hold. Each file has a thread of its
    own, so that a process that was stopped while it changed a key holds up no rate limit.

    Args:
        path: the file.
        clock_ms: the clock of the windows in milliseconds, the same for all processes of the machine.
    """

    def __init__(self, path: str | os.PathLike[str], clock_ms: Callable[[], int] | None = None) -> None:
        self._path = Path(os.fspath(path))
        self._windows_path = self._path.with_name(self._path.name + "-permits")
        self._clock_ms = clock_ms or _time_since_boot
        self._keys_thread = ThreadPoolExecutor(1, "pyannote-voiceprint-shared")
        self._windows_thread = ThreadPoolExecutor(1, "pyannote-voiceprint-shared")
        self._opening = threading.Lock()
        self._files: _Files | None = None
        self._is_closed = False

    async def open(self) -> None:
        """Connect, and create the files and tables if they are missing."""
        await self._call(self._windows_thread, self._connect)

    async def step(self, window: str, message: StepMessage) -> StepReply | None:
        """Make one step of a window in one transaction."""
        return await self._call(self._windows_thread, lambda: self._step(window, message))

    async def run(self, *statements: Statement, notify: bool = False) -> Rows:  # noqa: ARG002 - see `listen`
        """Run statements in one durable transaction, and return the rows of the last one."""
        return await self._call(self._keys_thread, partial(self._run, statements, time.monotonic()))

    async def listen(self, on_change: Callable[[], object]) -> NoReturn:
        """Call a function every 0.2 s: SQLite cannot notify another process."""
        while True:
            await asyncio.sleep(_LISTEN_INTERVAL)
            on_change()

    async def windows(self) -> tuple[int, dict[str, FleetWindow]]:
        """Return the time on the clock of the windows in milliseconds, and all windows by name."""
        return await self._call(self._windows_thread, self._windows)

    async def aclose(self) -> None:
        """Close the files, and end the threads."""
        self._is_closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._windows_thread, lambda: None)  # its calls are done
        await loop.run_in_executor(self._keys_thread, self._disconnect)
        self._windows_thread.shutdown(wait=False)
        self._keys_thread.shutdown(wait=False)

    async def _call(self, thread: ThreadPoolExecutor, function: Callable[[], R]) -> R:
        if self._is_closed:
            raise StoreUnavailableError.of_closed_store()
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, function)
        except OSError as error:
            raise StoreUnavailableError(
                f"The shared state file {self._path} cannot be used: {error.strerror}.",
                may_have_happened=False,
                is_final=error.errno not in _TEMPORARY_ERRORS,
            ) from None

    # In the threads

    def _step(self, window: str, message: StepMessage) -> StepReply | None:
        db = self._connect().windows
        with _translated_errors(self._windows_path, _DELETE_WINDOWS), atomic(db):
            row = db.execute("SELECT state FROM windows WHERE name = ?", (window,)).fetchone()
            epoch = secrets.token_hex(8)
            state, reply = step_stored_window(row[0] if row else None, message, self._clock_ms(), epoch)
            if reply is not None:
                db.execute("INSERT OR REPLACE INTO windows VALUES (?, ?)", (window, state))
        return reply

    def _run(self, statements: Collection[Statement], called_at: float) -> Rows:
        rows: Rows = []
        now = str(int(time.time() * 1000))
        db = self._connect().keys
        # Calls that have waited behind others must not each wait for the lock again.
        lock_timeout = max(_LEAST_LOCK_TIMEOUT, called_at + _KEYS_LOCK_TIMEOUT - time.monotonic())
        db.execute(f"PRAGMA busy_timeout = {lock_timeout * 1000:.0f}")
        # A single statement is a transaction of its own. Without BEGIN, a statement that only reads blocks no writer.
        transaction = atomic(db) if len(statements) > 1 else nullcontext()
        with _translated_errors(self._path, _RESTORE_KEYS), transaction:
            for sql, parameters in statements:
                rows = db.execute(sql.replace("{now}", now), parameters).fetchall()
        return rows

    def _windows(self) -> tuple[int, dict[str, FleetWindow]]:
        db = self._connect().windows
        with _translated_errors(self._windows_path, _DELETE_WINDOWS):
            rows = db.execute("SELECT name, state FROM windows").fetchall()
        return self._clock_ms(), load_windows(rows)

    def _connect(self) -> _Files:
        """Return the open files; open them on the first call, and in a forked child."""
        with self._opening:
            return self._connect_once()

    def _connect_once(self) -> _Files:
        files = self._files
        if files is None or files.process != os.getpid():
            # The connections of the parent are kept open: SQLite must not close them in a child.
            files = self._files = self._open_files()
        elif files.identity != self._identity():
            raise StoreUnavailableError(
                f"The shared state file {self._path} was deleted or replaced while this process used it. Other "
                "processes may share another file now. Restart all processes that share it.",
                may_have_happened=False,
                is_final=True,
            )
        return files

    def _identity(self) -> tuple[tuple[int, int] | None, ...]:
        return _inode(self._path), _inode(self._windows_path)

    def _open_files(self) -> _Files:
        # The program may change its current directory later.
        self._path, self._windows_path = self._path.absolute(), self._windows_path.absolute()
        if kind := network_file_system(self._path):
            raise StoreUnavailableError(
                f"The shared state file {self._path} is on a network file system ({kind}), where SQLite's locks are "
                "not reliable. Use a file on a local disk, or PostgreSQL: shared='postgresql://…'.",
                may_have_happened=False,
                is_final=True,
            )
        with _translated_errors(self._path, _RESTORE_KEYS):
            keys = _open(self._path, "FULL", _KEYS_LOCK_TIMEOUT)
        try:
            with _translated_errors(self._path, _RESTORE_KEYS):
                self._create_tables(keys)
            with _translated_errors(self._windows_path, _DELETE_WINDOWS):
                windows = self._open_windows()
        except BaseException:
            keys.close()
            raise
        return _Files(keys, windows, self._identity(), os.getpid())

    def _open_windows(self) -> sqlite3.Connection:
        windows = _open(self._windows_path, "OFF", _LOCK_TIMEOUT)
        try:
            with atomic(windows):
                windows.execute("CREATE TABLE IF NOT EXISTS windows (name TEXT PRIMARY KEY, state BLOB NOT NULL)")
        except BaseException:
            windows.close()
            raise
        return windows

    def _create_tables(self, keys: sqlite3.Connection) -> None:
        with atomic(keys):
            names = {name for (name,) in keys.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if names and VERSION_TABLE not in names:
                raise StoreUnavailableError(
                    f"{self._path} is a SQLite file of another kind, and not a shared state file. Choose another name.",
                    may_have_happened=False,
                    is_final=True,
                )
            for sql in TABLES:
                keys.execute(sql)
            (version,) = keys.execute("SELECT max(version) FROM voiceprint_version").fetchone()
            if version is None:
                keys.execute("INSERT INTO voiceprint_version VALUES (?)", (VERSION,))
            elif version != VERSION:
                raise StoreUnavailableError(
                    f"The shared state file {self._path} has version {version}, and this program needs version "
                    f"{VERSION}. Use the same version of the package in all processes.",
                    may_have_happened=False,
                    is_final=True,
                )

    def _disconnect(self) -> None:
        files, self._files = self._files, None
        if files is not None and files.process == os.getpid():
            files.keys.close()
            files.windows.close()


@contextmanager
def _translated_errors(path: Path, advice: str) -> Iterator[None]:
    """Translate the errors of SQLite.

    Args:
        path: the file.
        advice: what to do if the file is damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
        reason = "another process holds its lock" if code in _LOCKED_CODES else str(error)
        raise StoreUnavailableError(
            f"The shared state file {path} cannot be used: {reason}.{advice if code in _DAMAGED_CODES else ''}",
            may_have_happened=code not in _LOCKED_CODES | _FINAL_CODES,
            is_final=code in _FINAL_CODES,
        ) from None


def _open(path: Path, synchronous: str, lock_timeout: float) -> sqlite3.Connection:
    # The file names the jobs of a team: other users of the machine must not read it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=lock_timeout, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = TRUNCATE")
        db.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException:
        db.close()
        raise
    return db


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _time_since_boot() -> int:
    """Return milliseconds of a clock that counts while the machine sleeps, and is never set."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000
