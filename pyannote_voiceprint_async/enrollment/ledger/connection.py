"""Connections to a ledger file: writable ones, which bring the schema up to date, and read-only ones."""

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from pyannote_voiceprint_async.errors import LedgerError

from . import checksums, schema
from .hot_journal import check_hot_journal, hot_journal_error, is_rollback_needed
from .journal import journal_path, lost_journal_error, restore_journal
from .ownership import read_owner
from .schema import STEPS, SchemaStep
from .sqlite_errors import read_error, unusable_file_error

__all__ = ["BUSY_TIMEOUT", "check_file", "create_file", "open_read_only", "open_writable", "read_snapshot"]

BUSY_TIMEOUT = 10.0
"""Seconds that reading or opening a ledger waits while another program commits."""

# SQLite shrinks the journal to this size after each transaction, in bytes.
_JOURNAL_SIZE_LIMIT = 1024 * 1024
# How much of the file a connection may cache in memory, in KiB.
_CACHE_SIZE = 8 * 1024


def open_writable(
    path: Path, *, create: bool = False, recover: bool = False, steps: Sequence[SchemaStep] = STEPS
) -> sqlite3.Connection:
    """Open a ledger for writing, and apply the schema steps that it lacks. The caller holds its file lock.

    Args:
        path: the file.
        create: create the file if it is missing, private to its owner.
        recover: open the file even if its journal is lost, or can be recognized only by its change counter.
        steps: the schema.

    Raises:
        LedgerError: the file is missing, is not a ledger, is damaged, was written by a later version, has lost its
            journal, has a journal that does not belong to it, or cannot be written.
    """
    path = Path(os.path.realpath(path))
    try:
        if create:
            create_file(path)
        check_file(path)
        check_hot_journal(path, recover=recover, timeout=BUSY_TIMEOUT)
        had_journal = journal_path(path).exists()
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise unusable_file_error(path, exc) from None
    with _closed_on_error(connection, path):
        _configure(connection)
        applied = schema.applied_steps(connection, path, steps)
        if read_owner(connection) is not None:
            if not (had_journal or recover):
                raise lost_journal_error(path)
            restore_journal(path)
        if applied < len(steps):
            schema.apply_steps(connection, steps, applied)
    return connection


def open_read_only(path: Path, *, steps: Sequence[SchemaStep] = STEPS) -> sqlite3.Connection:
    """Open a ledger for reading, also while a run has it open. The file is never changed.

    Schema steps that the file lacks are not applied: before a reader uses a column or a table of a later step, it must
    check that the file has it.

    Args:
        path: the file.
        steps: the schema.

    Raises:
        LedgerError: the file is missing, empty, is not a ledger, is damaged, was written by a later version, or a run
            was killed while it wrote to the file.
    """
    try:
        path.stat()  # its error is clearer than that of SQLite
        # A reader must not roll back: the journal may belong to another file.
        uri = f"{Path(os.path.realpath(path)).as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise unusable_file_error(path, exc) from None
    with _closed_on_error(connection, path):
        checksums.register(connection)
        applied = schema.applied_steps(connection, path, steps)
        if not applied:
            raise LedgerError(f"{path} is empty. Run `pyannote-voiceprint enroll` with it first.")
    return connection


@contextmanager
def read_snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger for reading; all queries of the body see the same state of it.

    A run cannot commit before the body ends. Read a long table in pages, each in a snapshot of its own.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with closing(open_read_only(path)) as connection:
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as exc:
            raise (hot_journal_error(path) if is_rollback_needed(exc) else read_error(path, exc)) from None


def create_file(path: Path) -> None:
    """Create an empty file that only its owner may read, if none exists. SQLite gives its journal the same permissions.

    An existing file is not opened, because closing it would release all locks that this process has on it.

    Raises:
        LedgerError: the file cannot be created.
    """
    try:
        if path.exists():
            return
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as exc:
        raise unusable_file_error(path, exc) from None


def check_file(path: Path) -> None:
    """Check that a ledger can be opened by this path.

    Raises:
        LedgerError: the file is missing, or has a second name.
    """
    try:
        found = path.stat()
    except OSError as exc:
        raise unusable_file_error(path, exc) from None
    if found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
        # SQLite looks for the journal under the name by which the file was opened.
        raise LedgerError(
            f"{path} has a second name (a hard link). A killed run leaves a journal beside one of the names, and "
            "SQLite does not find it by the other. Remove one of the names, or copy the file."
        )


@contextmanager
def _closed_on_error(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        connection.close()
        raise (hot_journal_error(path) if is_rollback_needed(exc) else unusable_file_error(path, exc)) from None
    except BaseException:
        connection.close()
        raise


def _configure(connection: sqlite3.Connection) -> None:
    checksums.register(connection)
    connection.execute("PRAGMA trusted_schema = ON")  # the triggers call a function of ours
    connection.execute("PRAGMA journal_mode = PERSIST")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_SIZE_LIMIT}")
    # A commit returns when the data is on the disk. Deleted data is overwritten with zeros.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_SIZE}")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA foreign_keys = ON")
