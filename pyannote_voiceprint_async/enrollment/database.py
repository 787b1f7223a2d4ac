"""One SQLite file, one connection, one thread: whatever is said to be written survives the death of the process."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError

try:
    import fcntl
except ImportError:  # Windows has no such lock: there, do not start two runs on one file
    fcntl = None  # type: ignore[assignment]

__all__ = ["Database", "Lock", "Step", "connect", "connect_to_read"]

T = TypeVar("T")

_PRIVATE = 0o600
# A person's `forget` and a run's commit may meet; both are short.
_PATIENCE = 30.0
# The pages that a connection may keep in memory, in KiB.
_CACHE = 8 * 1024


class Step(NamedTuple):
    """One step of the schema. Steps are only ever added, never changed: files out there were made by them."""

    name: str
    script: str


def connect(path: Path, *, application: int, steps: Sequence[Step], create: bool = False) -> sqlite3.Connection:
    """Open a file, and bring it to the newest step.

    Args:
        path: the file; made private when it is made.
        application: what tells our files from others, in SQLite's header.
        steps: the schema.
        create: make it, if it is not there.

    Raises:
        LedgerError: it is missing, something else, damaged, of a later version, or cannot be written.
    """
    try:
        _make_private(path, create=create)
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(path, exc) from None
    try:
        _prepare(connection, path, application, steps)
    except sqlite3.Error as exc:
        connection.close()
        raise _unusable(path, exc) from None
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
        uri = f"{Path(os.path.realpath(path)).as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(path, exc) from None
    try:
        connection.execute("PRAGMA query_only = ON")
        done = _steps_done(connection, path, application, steps)
    except sqlite3.Error as exc:
        connection.close()
        raise _unusable(path, exc) from None
    except BaseException:
        connection.close()
        raise
    if not done:
        connection.close()
        raise LedgerError(f"{path} is empty. Run `pyannote-voiceprint enroll` with it.")
    return connection


class Write(NamedTuple, Generic[T]):
    """Something to be written, and who waits for it."""

    work: Callable[[sqlite3.Connection], T]
    done: asyncio.Future[T] | None


class Database:
    """All writes of one run, through one `atomic()`, off the event loop.

    Writes that come while another is on its way to the disk are committed together: one sync serves them all.

    Args:
        connection: nobody else's any more.
        path: its file. Making this looks at it, which blocks.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._file = _identity(path)
        self._lost: LedgerError | None = None
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._writes: list[Write[Any]] = []
        self._idle = asyncio.Event()
        self._idle.set()

    async def atomic(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work on the connection, and come back when it is on the disk for good.

        A caller that is canceled leaves its work behind: what was handed over is written.

        Raises:
            LedgerError: it could not be written; then nothing of it was.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._add(Write(work, done))
        return await done

    def write_soon(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Let some work be done in its turn, whose caller does not need it done."""
        self._add(Write(work, None))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work that writes nothing; it sees all that was written.

        Raises:
            LedgerError: it could not be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    async def aclose(self) -> None:
        """Write what was handed over, and close the file."""
        await self._idle.wait()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self.close()

    def close(self) -> None:
        """Close the file, where nothing was handed over."""
        self._thread.shutdown(wait=False)
        self._connection.close()

    def _add(self, write: Write[Any]) -> None:
        self._writes.append(write)
        if self._idle.is_set():
            self._idle.clear()
            # Not at once: whatever else is ready in this turn of the loop goes into the same commit.
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        writes, self._writes = self._writes, []
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._thread, self._write, [write.work for write in writes])
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

    def _write(self, works: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        try:
            return self._commit(works)
        except Exception as exc:  # noqa: BLE001 - told to those whose work it was
            if len(works) == 1:
                return [_unwritten(exc)]
        # One of them is at fault, or the disk is full: each for itself, so that none fails for another's reason.
        return [outcome for work in works for outcome in self._write([work])]

    def _commit(self, works: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        if _identity(self._path) != self._file:
            self._lost = self._lost or self._rescue()
            raise self._lost
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = [work(self._connection) for work in works]
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return outcomes

    def _rescue(self) -> LedgerError:
        """The file was deleted or replaced. SQLite would write on, into a file that nobody finds again."""
        rescued = self._path.with_name(f"{self._path.name}.rescued")
        try:
            self._connection.execute("VACUUM INTO ?", (str(rescued),))
            rescued.chmod(_PRIVATE)
            what = f"What it held is in {rescued.name} beside it: use that one."
        except (sqlite3.Error, OSError):
            what = "Jobs that this run was waiting for are listed by `pyannote-voiceprint jobs`."
        return LedgerError(f"The ledger {self._path.name} was deleted or replaced while a run had it. {what}")

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connection)
        except sqlite3.Error as exc:
            raise LedgerError(f"The ledger cannot be read ({exc}).") from None


class Lock:
    """One run at a time: a lock on a file of its own, that ends with the process however it ends.

    Args:
        path: the file; it stays, empty of meaning, when the lock is given back.
    """

    @classmethod
    def of(cls, path: Path) -> Self:
        """Lock a database, by whatever name it is called."""
        real = Path(os.path.realpath(path))
        return cls(real.with_name(f"{real.name}.lock"))

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE)
        except OSError as exc:
            raise _unusable(path, exc) from None
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise LedgerInUseError(
                f"Another run has this ledger{f' (process {holder})' if holder else ''}. Let it finish, or end it "
                "first; `pyannote-voiceprint ledger status` shows how far it is."
            ) from None
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, str(os.getpid()).encode(), 0)
        except OSError:
            pass  # a full disk: the lock holds, only nobody can read whose it is

    def release(self) -> None:
        """Give it back."""
        os.close(self._file)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_private(path: Path, *, create: bool) -> None:
    # Before SQLite makes it by the process's umask; its other files take over the rights of this one.
    # One that is there is only looked at: closing it would take all locks of this process on it away.
    try:
        found = path.stat()
    except FileNotFoundError:
        if not create:
            raise
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE))
        return
    if found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
        raise LedgerError(f"{path} has a second name (a hard link), and two runs could have it at once. Copy it.")


def _prepare(connection: sqlite3.Connection, path: Path, application: int, steps: Sequence[Step]) -> None:
    done = _steps_done(connection, path, application, steps)
    connection.execute("PRAGMA journal_mode = WAL")
    # A commit is on the disk before it is believed, and what is deleted is overwritten.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE}")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA foreign_keys = ON")
    for number, step in enumerate(steps[done:], done + 1):
        _take(connection, number, step, application)


def _steps_done(connection: sqlite3.Connection, path: Path, application: int, steps: Sequence[Step]) -> int:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if found != application and not is_empty:
        raise LedgerError(f"{path} is an SQLite file, but no ledger. Give another file.")
    done = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if done > len(steps):
        raise LedgerError(f"{path} was written by a later version of this package. Install that one.")
    return done


def _take(connection: sqlite3.Connection, number: int, step: Step, application: int) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE; {step.script}; PRAGMA application_id = {application}; "
        f"PRAGMA user_version = {number}; COMMIT;"
    )


def _unusable(path: Path, exc: Exception) -> LedgerError:
    why = (exc.strerror if isinstance(exc, OSError) else str(exc)) or type(exc).__name__
    if isinstance(exc, FileNotFoundError):
        folder = path.parent
        return LedgerError(f"There is no ledger {path}." if folder.is_dir() else f"There is no folder {folder}.")
    if "not a database" in why:
        return LedgerError(f"{path} is no ledger. Give another file.")
    return LedgerError(f"The ledger {path} cannot be used ({why.lower()}).")


def _unwritten(exc: Exception) -> Exception:
    if not isinstance(exc, sqlite3.Error):
        return exc
    return LedgerError(
        f"The ledger cannot be written ({exc}). Make room on its disk, then run again: nothing that it holds is lost."
    )
