"""The owner mark inside the ledger: which process has it open, and whether the last run closed it.

Each write compares the owner token in its own transaction. A run whose ledger was taken over by another run, even on a
file system without locks, therefore stops before it sends anything.

A mark that is left when the next run opens the file means that the last run was killed, or that the file is a copy
made during a run. SQLite's rollback journal stays beside the file as long as the mark is set: if the journal is
missing, a transaction may be half written and cannot be rolled back.
"""

import os
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError

from .checksums import check_integrity
from .journal import RECOVER_HINT
from .reserve import fill_reserve
from .sqlite_errors import unusable_file_error
from .transaction import atomic

__all__ = ["OWNER_SCHEMA", "Owner", "check_not_copied", "mark_closed", "mark_open", "read_owner"]

OWNER_SCHEMA = """
    -- The run that has the ledger open, and the inode of its file: a copy of the file has another inode.
    CREATE TABLE owner (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token TEXT NOT NULL,
        inode INTEGER NOT NULL,
        process INTEGER NOT NULL
    );
    -- Room that is freed for job ids when the disk is full.
    CREATE TABLE reserve (id INTEGER PRIMARY KEY, room BLOB NOT NULL)
"""
"""The schema step that adds the owner mark and the reserve."""

# Milliseconds that closing a ledger waits for another program.
_CLOSE_TIMEOUT = 1000


class Owner(NamedTuple):
    """The process that has a ledger open."""

    token: str
    inode: int
    process: int

    @classmethod
    def create(cls, path: Path) -> "Owner":
        """Return a new mark of this process for a file."""
        return cls(secrets.token_hex(16), _inode(path), os.getpid())

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the mark, within a transaction of the caller."""
        connection.execute("INSERT OR REPLACE INTO owner VALUES (1, ?, ?, ?)", self)

    def erase(self, connection: sqlite3.Connection) -> None:
        """Erase the mark if no other run has replaced it, within a transaction of the caller."""
        connection.execute("DELETE FROM owner WHERE token = ?", (self.token,))

    def check(self, connection: sqlite3.Connection) -> None:
        """Check, within the transaction of a write, that no other run has taken over the ledger.

        Raises:
            LedgerInUseError: another run has taken it over.
        """
        found = read_owner(connection)
        if found is None or found.token != self.token:
            raise LedgerInUseError(
                "Another run took over this ledger while this run had it open. This run sends nothing more; the other "
                "run continues."
            )


def read_owner(connection: sqlite3.Connection) -> Owner | None:
    """Return the owner mark of a ledger, or None if no run has it open."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'owner'").fetchone():
        return None  # a ledger of an earlier version
    found = connection.execute("SELECT token, inode, process FROM owner").fetchone()
    return None if found is None else Owner(*found)


def mark_open(connection: sqlite3.Connection, path: Path) -> Owner:
    """Check the whole ledger and mark it as open. The caller holds its file lock.

    Raises:
        LedgerError: it is a copy that was made during a run, is damaged, or cannot be written.
    """
    try:
        if (last := read_owner(connection)) is not None:
            check_not_copied(last, path)
        check_integrity(connection, path)
        owner = Owner.create(path)
        with atomic(connection):
            owner.write(connection)
        with suppress(sqlite3.Error):  # a run can start on a full disk, without a reserve
            fill_reserve(connection)
    except (sqlite3.Error, OSError) as exc:
        raise unusable_file_error(path, exc) from None
    return owner


def mark_closed(connection: sqlite3.Connection, path: Path, owner: Owner) -> None:
    """Erase the owner mark of a ledger, and delete the journal beside it.

    A failure is ignored: the next run then checks the ledger as it does after a kill.
    """
    with suppress(sqlite3.Error, OSError):
        if _inode(path) != owner.inode:
            return  # another file has this path now, and the journal belongs to that file
        connection.execute(f"PRAGMA busy_timeout = {_CLOSE_TIMEOUT}")
        with atomic(connection):
            owner.erase(connection)
        if read_owner(connection) is None:
            connection.execute("PRAGMA journal_mode = DELETE")


def check_not_copied(owner: Owner, path: Path) -> None:
    """Refuse a copy that was made during a run: the run may have paid for rows that are pending in the copy.

    Raises:
        LedgerError: the file is such a copy.
    """
    if owner.inode != _inode(path):
        raise LedgerError(
            f"{path} is a copy of a ledger that was made while a run had it open: jobs that the run submitted later "
            f"are missing. Nothing was sent. Use the original. If that is lost, {RECOVER_HINT.format(path=path)}; rows "
            "that are not recorded as submitted in the copy are then paid again."
        )


def _inode(path: Path) -> int:
    """Return the inode of a file, reduced to an INTEGER of SQLite.

    The device number is left out: it may change when the machine restarts.
    """
    return path.stat().st_ino & (2**63 - 1)
