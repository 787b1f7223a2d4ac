"""One SQLite file, one connection, one thread: what was reported as written survives the death of the process.

SQLite keeps a rollback journal (`journal_mode = PERSIST`), not a write-ahead log. The whole of a ledger is then in its
main file between two transactions, so a lost or left-over file beside it loses nothing that was paid; a forked child
that closes its copy of the connection changes nothing; a full disk finds the journal's blocks already allocated; and
the race of 3.7.0 to 3.51.2, in which a write-ahead log that is reset by two connections at once can lose commits, does
not exist. The price is that a reader holds up a commit while it reads, so readers of this package read pages of rows
(`export`, `upkeep`). Measured with SQLite 3.40.1, three commits of 32 rows for each 32 rows, each commit on the
disk (ext4 on a virtual disk): write-ahead log 10,000 rows per second, and 5,600 with a reader that counts all rows in
a loop; rollback journal 4,600 to 9,200 and 8,500. Both are far above what a rate limit lets through.
"""

import asyncio
import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError

from . import checksums
from .ownership import Owner, inode_of, journal_of, keep_journal, owner_of, refuse_copy, refuse_lost_journal

__all__ = [
    "Database",
    "Step",
    "check_whole",
    "connect",
    "connect_to_read",
    "damaged",
    "hold",
    "make_private",
    "release",
    "unusable",
]

T = TypeVar("T")

_PRIVATE = 0o600
# Seconds that a reader, or the opening of a ledger, waits for a commit of somebody else.
_PATIENCE = 10.0
# Seconds that one batch of writes waits for another program, and what is left of it once a run is to end.
_WRITE_PATIENCE, _LAST_PATIENCE = 60.0, 1.0
# Seconds after which such a wait is reported, and SQLite's own wait between two attempts.
_REPORTED_AFTER, _ATTEMPT = 2.0, 0.2
# What a transaction may leave of the journal's size, in bytes.
_LARGEST_JOURNAL = 1024 * 1024
# The room that is kept for job ids: pieces, the bytes of each, and how many are freed in one attempt after another.
_RESERVE_PIECES, _RESERVE_BYTES = 32, 4096
_FREED = (1, 4, _RESERVE_PIECES)
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
# The pages that a connection may keep in memory, in KiB.
_CACHE = 8 * 1024


class Step(NamedTuple):
    """One step of the schema. Steps are only ever added, never changed: files out there were made by them."""

    name: str
    script: str


def connect(
    path: Path, *, application: int, steps: Sequence[Step], create: bool = False, recovers: bool = False
) -> sqlite3.Connection:
    """Open a file, and bring it to the newest step.

    Args:
        path: the file; made private when it is made.
        application: what tells our files from others, in SQLite's header.
        steps: the schema.
        create: make it, if it is not there.
        recovers: open it although its journal is lost.

    Raises:
        LedgerError: it is missing, something else, damaged, of a later version, has lost its journal, or cannot be
            written.
    """
    try:
        make_private(path, create=create)
        had_journal = journal_of(path).exists()
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise unusable(path, exc) from None
    try:
        done = _prepare(connection, path, application, steps)
        if owner_of(connection) is not None:
            if not (had_journal or recovers):
                refuse_lost_journal(path)
            keep_journal(path)
        if steps[done:]:
            _take(connection, steps[done:], len(steps), application)
    except sqlite3.Error as exc:
        connection.close()
        raise unusable(path, exc) from None
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path, *, application: int, steps: Sequence[Step]) -> sqlite3.Connection:
    """Open a file in a way that cannot change it. It works while somebody else writes it.

    Args:
        path: the file.
        application: as for `connect`.
        steps: the schema; only the first one must be there, because readers ask for nothing that came later, or look
            first whether it is there.

    Raises:
        LedgerError: it is missing, something else, damaged, or of a later version.
    """
    try:
        path.stat()  # its reasons are better than SQLite's
        # Who may not write at all leaves files of SQLite's own behind when it is the last one to close.
        real = Path(os.path.realpath(path))
        had_journal = journal_of(real).exists()
        uri = f"{real.as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise unusable(path, exc) from None
    try:
        connection.execute("PRAGMA query_only = ON")
        checksums.register(connection)
        done = _steps_done(connection, path, application, steps)
        if had_journal and owner_of(connection) is not None:
            keep_journal(real)
    except sqlite3.Error as exc:
        connection.close()
        raise unusable(path, exc) from None
    except BaseException:
        connection.close()
        raise
    if not done:
        connection.close()
        raise LedgerError(f"{path} is empty. Run `pyannote-voiceprint enroll` with it.")
    return connection


def hold(connection: sqlite3.Connection, path: Path) -> Owner:
    """Mark a ledger as open, after all of it was checked. Its lock is another matter.

    Raises:
        LedgerError: it is a copy that was made during a run, is damaged, or cannot be written.
    """
    try:
        if (last := owner_of(connection)) is not None:
            refuse_copy(last, path)
        check_whole(connection, path)
        owner = Owner.new(path)
        connection.execute("BEGIN IMMEDIATE")
        owner.write(connection)
        connection.execute("COMMIT")
        with suppress(sqlite3.Error):
            _fill_reserve(connection)
    except (sqlite3.Error, OSError) as exc:
        raise unusable(path, exc) from None
    finally:
        _roll_back(connection)
    return owner


def release(connection: sqlite3.Connection, path: Path, owner: Owner) -> None:
    """Erase the mark of a ledger, and remove the journal beside it."""
    with suppress(sqlite3.Error, OSError):  # the next run then checks the ledger as after a kill
        if inode_of(path) != owner.inode:
            return  # another file has the name now, and its journal
        connection.execute(f"PRAGMA busy_timeout = {int(_LAST_PATIENCE * 1000)}")
        connection.execute("BEGIN IMMEDIATE")
        owner.erase(connection)
        connection.execute("COMMIT")
        if owner_of(connection) is None:
            connection.execute("PRAGMA journal_mode = DELETE")


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that no bit of a ledger has changed since it was written.

    Raises:
        LedgerError: it is damaged.
    """
    # An index may be damaged where its table is not, and then hides what is paid.
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok" or (found := checksums.verify(connection)) is not None:
        raise LedgerError(damaged(found, str(path)))


class Write(NamedTuple, Generic[T]):
    """Something to be written, and who waits for it."""

    work: Callable[[sqlite3.Connection], T]
    done: asyncio.Future[T] | None
    is_urgent: bool


class Database:
    """All writes of one run, through one `atomic()`, off the event loop.

    Writes that come while another is on its way to the disk are committed together: one sync serves them all.

    Args:
        connection: nobody else's any more.
        path: its file. Making this checks all of it, and marks it as open, which blocks.
        on_waiting: called in the event loop with True when another program has kept the ledger locked for some
            seconds, and with False when that is over.

    Raises:
        LedgerError: see `hold`. The connection stays open.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, on_waiting: Callable[[bool], None] | None = None
    ) -> None:
        self._owner = hold(connection, path)
        # For a rescue; closed after SQLite has closed the file, because that ends all locks of this process on it.
        self._descriptor = os.open(path, os.O_RDONLY)
        self._connection = connection
        self._path = path
        self._file = _identity(path)
        self._on_waiting = on_waiting
        self._lost: LedgerError | None = None
        self._patience = _WRITE_PATIENCE
        self._is_ending = False
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._writes: list[Write[Any]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        # Held while a transaction is open: a fork must not copy one, because closing it would roll it back.
        self.in_transaction = threading.Lock()
        _databases.add(self)

    async def atomic(self, work: Callable[[sqlite3.Connection], T], *, is_urgent: bool = False) -> T:
        """Do some work on the connection, and come back when it is on the disk for good.

        A caller that is canceled leaves its work behind: what was handed over is written.

        Args:
            work: what is done.
            is_urgent: on a full disk, use the room that is kept for job ids.

        Raises:
            LedgerError: it could not be written; then nothing of it was.
        """
        self._refuse_child()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._add(Write(work, done, is_urgent))
        return await done

    def write_soon(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Let some work be done in its turn, whose caller does not need it done."""
        self._refuse_child()
        self._add(Write(work, None, is_urgent=False))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work that writes nothing; it sees all that was written.

        Raises:
            LedgerError: it could not be read.
        """
        self._refuse_child()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    def hurry(self) -> None:
        """Wait no longer than a second for other programs from now on: the run is to end."""
        self._is_ending = True
        self._patience = _LAST_PATIENCE

    async def aclose(self) -> None:
        """Write what was handed over, and close the file."""
        if self._is_child:
            return  # the file is the parent's
        await self._idle.wait()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def close(self) -> None:
        """Close the file, where nothing was handed over."""
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
                "This ledger was opened before a fork, and belongs to the parent process. Open the ledger in the "
                "process that uses it, and start other processes with `spawn` or before the run."
            )

    def _add(self, write: Write[Any]) -> None:
        self._writes.append(write)
        if self._idle.is_set():
            self._idle.clear()
            self._loop = asyncio.get_running_loop()
            # Not at once: whatever else is ready in this turn of the loop goes into the same commit.
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        writes, self._writes = self._writes, []
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._thread, self._write, writes)
        writing.add_done_callback(lambda done: self._end(writes, done))

    def _end(self, writes: list[Write[Any]], writing: "asyncio.Future[list[Any]]") -> None:
        for write, outcome in zip(writes, writing.result(), strict=True):
            if write.done is None or write.done.done():
                continue  # nobody waits for it, or not any more
            if isinstance(outcome, BaseException):
                write.done.set_exception(outcome)
            else:
                write.done.set_result(outcome)
        if self._writes:
            self._begin()
        else:
            self._idle.set()

    # In the thread

    def _close(self) -> None:
        if self._lost is None:
            release(self._connection, self._path, self._owner)
        self._connection.close()
        os.close(self._descriptor)

    def _write(self, writes: Sequence[Write[Any]]) -> list[Any]:
        """Commit all of it together, or each by itself so that none fails for another's reason."""
        works = [write.work for write in writes]
        try:
            return self._commit(works)
        except LedgerError as exc:
            return [exc] * len(works)  # it concerns the ledger, and so all of them
        except Exception as exc:  # noqa: BLE001 - reported to those whose work it was
            if len(works) > 1:
                return [outcome for write in writes for outcome in self._write([write])]
            if writes[0].is_urgent and _is_full(exc):
                return self._write_into_reserve(works, exc)
            return [_unwritten(self._path, exc)]

    def _write_into_reserve(self, works: list[Callable[[sqlite3.Connection], Any]], full: Exception) -> list[Any]:
        try:
            # What is freed is zeros: to overwrite it would need room in the journal.
            self._connection.execute("PRAGMA secure_delete = OFF")
            for pieces in _FREED:
                with suppress(sqlite3.Error):
                    return self._commit([partial(_free_reserve, pieces=pieces), *works])[1:]
        except Exception as exc:  # noqa: BLE001 - as above
            return [exc]
        finally:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA secure_delete = ON")
        return [_unwritten(self._path, full)]

    def _commit(self, works: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        self._refuse_lost()
        with self.in_transaction:
            self._patiently("BEGIN IMMEDIATE")
            try:
                self._owner.check(self._connection)
                outcomes = [work(self._connection) for work in works]
                self._patiently("COMMIT")
            except BaseException:
                _roll_back(self._connection)
                raise
        return outcomes

    def _patiently(self, statement: str) -> None:
        """Begin or commit, and wait for other programs that have the file locked."""
        began, is_reported = time.monotonic(), False
        self._connection.execute(f"PRAGMA busy_timeout = {int(_ATTEMPT * 1000)}")
        try:
            while True:
                try:
                    self._connection.execute(statement)
                    if not self._is_ending:
                        self._patience = _WRITE_PATIENCE
                    return
                except sqlite3.OperationalError as exc:
                    waited = time.monotonic() - began
                    if not _is_busy(exc):
                        raise
                    if waited >= self._patience:
                        self._patience = _LAST_PATIENCE  # until it is free again: one wait is for all batches
                        raise _locked(waited) from None
                if waited >= _REPORTED_AFTER and not is_reported:
                    is_reported = True
                    self._report_waiting(is_waiting=True)
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
            if is_reported:
                self._report_waiting(is_waiting=False)

    def _report_waiting(self, *, is_waiting: bool) -> None:
        if self._on_waiting is not None and self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._on_waiting, is_waiting)

    def _refuse_lost(self) -> None:
        """Stop where the path leads to another file, or to none: the journal of SQLite would be that file's."""
        if self._lost is None and _identity(self._path) != self._file:
            self._lost = self._rescue()
        if self._lost is not None:
            raise self._lost

    def _rescue(self) -> LedgerError:
        """Save the content of the file that was deleted or replaced. Between two transactions its bytes are whole."""
        what = "Jobs that this run was waiting for are listed by `pyannote-voiceprint jobs`."
        with suppress(sqlite3.Error, OSError):
            rescued = _new_private(self._path.with_name(f"{self._path.name}.rescued"))
            try:
                _copy(self._descriptor, rescued)
                with closing(sqlite3.connect(rescued, isolation_level=None)) as copy:
                    copy.execute("DELETE FROM owner")  # no run has it
            except BaseException:
                rescued.unlink()
                raise
            what = f"What it held is in {rescued.name} beside it: use that one."
        return LedgerError(f"The ledger {self._path.name} was deleted or replaced while a run had it. {what}")

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._refuse_lost()
        try:
            return work(self._connection)
        except sqlite3.Error as exc:
            raise LedgerError(f"The ledger cannot be read ({exc}).") from None


_databases: "weakref.WeakSet[Database]" = weakref.WeakSet()
_forking: list[Database] = []


def _before_fork() -> None:
    _forking[:] = _databases
    for database in _forking:
        database.in_transaction.acquire()


def _after_fork() -> None:
    for database in _forking:
        database.in_transaction.release()
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def make_private(path: Path, *, create: bool) -> None:
    """Make a file before SQLite does it by the umask; SQLite's other files take over its rights.

    A file that is there is only looked at: to close it would end all locks that this process has on it.

    Raises:
        LedgerError: it is missing, or has a second name.
    """
    try:
        try:
            found = path.stat()
        except FileNotFoundError:
            if not create:
                raise
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE))
            return
    except OSError as exc:
        raise unusable(path, exc) from None
    if found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
        # The journal has the name of the file, and is not found by another one.
        raise LedgerError(
            f"{path} has a second name (a hard link). A run that is killed leaves a journal beside one name that is "
            "not found by the other. Remove one of the names, or copy the file."
        )


def _prepare(connection: sqlite3.Connection, path: Path, application: int, steps: Sequence[Step]) -> int:
    """Set a connection up, and return how many steps its file has."""
    checksums.register(connection)
    connection.execute("PRAGMA trusted_schema = ON")  # the triggers use our function
    connection.execute("PRAGMA journal_mode = PERSIST")
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_JOURNAL}")
    # A commit is on the disk before it is believed, and what is deleted is overwritten.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE}")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA foreign_keys = ON")
    return _steps_done(connection, path, application, steps)


def _steps_done(connection: sqlite3.Connection, path: Path, application: int, steps: Sequence[Step]) -> int:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if found != application and not is_empty:
        raise LedgerError(f"{path} is an SQLite file, but no ledger. Give another file.")
    done = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if done > len(steps):
        raise LedgerError(f"{path} was written by a later version of this package. Install that one.")
    return done


def _take(connection: sqlite3.Connection, steps: Sequence[Step], number: int, application: int) -> None:
    """Take all steps that a file has not, in one transaction; the last one has this number."""
    script = "; ".join(step.script for step in steps)
    connection.executescript(
        f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {application}; PRAGMA user_version = {number}; COMMIT;"
    )


def unusable(path: Path, exc: Exception) -> LedgerError:
    """Return the error for a file that cannot be used."""
    why = (exc.strerror if isinstance(exc, OSError) else str(exc)) or type(exc).__name__
    if isinstance(exc, FileNotFoundError):
        folder = path.parent
        return LedgerError(f"There is no ledger {path}." if folder.is_dir() else f"There is no folder {folder}.")
    if "malformed" in why:
        return LedgerError(damaged(why, str(path)))
    if _is_busy(exc):
        return LedgerError(
            f"The ledger {path} is locked by another program, such as an SQLite browser with a change that is not "
            "saved. Close that program, then run again."
        )
    if "not a database" in why:
        return LedgerError(f"{path} is no ledger. Give another file.")
    return LedgerError(f"The ledger {path} cannot be used ({why.lower()}).")


def _unwritten(path: Path, exc: Exception) -> Exception:
    if checksums.is_damage(exc):
        return LedgerError(damaged("a row that was to be changed", path.name))
    if not isinstance(exc, sqlite3.Error):
        return exc
    return LedgerError(
        f"The ledger cannot be written ({exc}). Make room on its disk, then run again: nothing that it holds is lost."
    )


def damaged(what: str, name: str = "") -> str:
    """Return the sentence for a ledger of which a bit has changed."""
    return (
        f"The ledger {name and name + ' '}is damaged ({what}): something else than this program changed its bytes, or "
        "its disk is failing. Nothing more is sent, because rows that are paid might be paid again. Use a backup of "
        "the ledger; `pyannote-voiceprint jobs` lists the jobs of the last day."
    )


def _locked(waited: float) -> LedgerError:
    return LedgerError(
        f"Another program has kept the ledger locked for {waited:.0f} seconds, such as an SQLite browser with a change "
        "that is not saved. Close that program, then run again: nothing that the ledger holds is lost."
    )


def _is_busy(exc: Exception) -> bool:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _is_full(exc: Exception) -> bool:
    return isinstance(exc, sqlite3.OperationalError) and getattr(exc, "sqlite_errorcode", 0) & 0xFF in _FULL


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with suppress(sqlite3.Error):  # SQLite may have done it itself
            connection.execute("ROLLBACK")


def _fill_reserve(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT OR IGNORE INTO reserve VALUES (?, zeroblob(?))",
        [(number, _RESERVE_BYTES) for number in range(_RESERVE_PIECES)],
    )
    connection.execute("COMMIT")


def _free_reserve(connection: sqlite3.Connection, *, pieces: int) -> None:
    connection.execute("DELETE FROM reserve WHERE id IN (SELECT id FROM reserve ORDER BY id LIMIT ?)", (pieces,))


def _copy(descriptor: int, target: Path) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with target.open("wb") as file:
        while piece := os.read(descriptor, 1024 * 1024):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _new_private(path: Path) -> Path:
    """Make an empty private file of this name, or of the next one that is free."""
    number, free = 1, path
    while True:
        try:
            os.close(os.open(free, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE))
        except FileExistsError:
            number += 1
            free = path.with_name(f"{path.name}-{number}")
        else:
            return free
