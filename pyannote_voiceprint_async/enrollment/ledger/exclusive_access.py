"""Exclusive access to a ledger file, for a run or for a maintenance command."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError

from .connection import check_file, create_file, open_read_only, open_writable
from .file_lock import FileLock, in_use_error
from .ownership import mark_closed, mark_open, read_owner
from .sqlite_errors import unusable_file_error

__all__ = ["compact", "exclusive_connection", "lock_ledger"]


def lock_ledger(path: Path, *, create: bool = False) -> FileLock:
    """Lock the file of a ledger. Symbolic links are followed, so every path leads to the same lock.

    Args:
        path: the ledger.
        create: create the file if it is missing.

    Raises:
        LedgerInUseError: another run has it open.
        LedgerError: it is missing, or cannot be opened.
    """
    real = Path(os.path.realpath(path))
    if create:
        create_file(real)
    check_file(real)
    try:
        return FileLock(real)
    except LedgerInUseError:
        raise in_use_error(_owner_process(real)) from None
    except OSError as exc:
        raise unusable_file_error(real, exc) from None


@contextmanager
def exclusive_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Lock a ledger, check it, mark it as open, and close it after the body.

    Raises:
        LedgerInUseError: a run has it open.
        LedgerError: it cannot be used.
    """
    real = Path(os.path.realpath(path))
    lock = lock_ledger(path)
    try:
        with closing(open_writable(path)) as connection:
            owner = mark_open(connection, real)
            try:
                yield connection
            finally:
                mark_closed(connection, real, owner)
    except sqlite3.Error as exc:
        raise LedgerError(
            f"The ledger {path} cannot be written ({exc}). Resolve that, and repeat the command."
        ) from None
    finally:
        lock.release()


def compact(connection: sqlite3.Connection) -> None:
    """Rewrite the file so that it keeps no byte of deleted rows, and empty the journal.

    Raises:
        LedgerError: another program reads the file.
    """
    try:
        # The commit of VACUUM then truncates the journal, which holds the old pages.
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = PERSIST")
    except sqlite3.OperationalError as exc:
        raise LedgerError(
            f"The rows are deleted, but their bytes are still in the file of the ledger ({exc}). End the program that "
            "reads the file, and repeat the command."
        ) from None


def _owner_process(path: Path) -> int | None:
    """Return the id of the process that has a ledger open, if the owner mark can be read."""
    with suppress(LedgerError, sqlite3.Error), closing(open_read_only(path)) as connection:
        owner = read_owner(connection)
        return None if owner is None else owner.process
    return None
