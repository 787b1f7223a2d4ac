"""The mark of an open run, inside the ledger itself: who writes it, and whether the last run closed it.

Each write compares the owner token in its own transaction, so that a run whose ledger was taken over, by whatever way
around the lock, stops before it sends anything.

A mark that is still there when the next run opens the file means that the last run was killed, or that the file is a
copy made during a run. SQLite's rollback journal stays beside the file as long as the mark is in it: a missing journal
means that a transaction may be half in the file, with nothing left that could take it back.
"""

import os
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError

__all__ = ["OWNER", "Owner", "inode_of", "journal_of", "keep_journal", "owner_of", "refuse_copy", "refuse_lost_journal"]

OWNER = """
    -- The run that has the ledger open, and the inode of its file: a copy has another one.
    CREATE TABLE owner (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token TEXT NOT NULL,
        inode INTEGER NOT NULL,
        process INTEGER NOT NULL
    );
    -- Room that is freed for job ids when the disk is full.
    CREATE TABLE reserve (id INTEGER PRIMARY KEY, room BLOB NOT NULL)
"""
"""The step of the schema that has the mark and the reserve."""

_RECOVER = "`pyannote-voiceprint ledger recover {path}` checks this file and opens it for the next run"


class Owner(NamedTuple):
    """Who has a ledger open."""

    token: str
    inode: int
    process: int

    @classmethod
    def new(cls, path: Path) -> "Owner":
        """Make the mark of this process for a file."""
        return cls(secrets.token_hex(16), inode_of(path), os.getpid())

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the mark, within a transaction of the caller."""
        connection.execute("INSERT OR REPLACE INTO owner VALUES (1, ?, ?, ?)", self)

    def erase(self, connection: sqlite3.Connection) -> None:
        """Erase the mark if it is still this one."""
        connection.execute("DELETE FROM owner WHERE token = ?", (self.token,))

    def check(self, connection: sqlite3.Connection) -> None:
        """Make sure, within the transaction of a write, that nobody else has taken the ledger.

        Raises:
            LedgerInUseError: another run has.
        """
        found = owner_of(connection)
        if found is None or found.token != self.token:
            raise LedgerInUseError(
                "Another run took this ledger while this one had it. Nothing more is sent by this run; the other one "
                "goes on."
            )


def owner_of(connection: sqlite3.Connection) -> Owner | None:
    """Return the mark in a ledger, if it has one."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'owner'").fetchone():
        return None  # a ledger of an earlier version
    found = connection.execute("SELECT token, inode, process FROM owner").fetchone()
    return None if found is None else Owner(*found)


def inode_of(path: Path) -> int:
    """Return the inode of a file, as far as an INTEGER of SQLite can hold it.

    The device is left out: its number may be another one after a restart of the machine.
    """
    return path.stat().st_ino & (2**63 - 1)


def journal_of(path: Path) -> Path:
    """Return the path of SQLite's rollback journal, which stays beside the file while a run has it."""
    return path.with_name(f"{path.name}-journal")


def keep_journal(path: Path) -> None:
    """Make the journal of an open ledger again where SQLite deleted it after it had rolled back with it."""
    with suppress(OSError):  # also where it is there
        os.close(os.open(journal_of(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def refuse_copy(owner: Owner, path: Path) -> None:
    """Refuse a copy that was made while a run was open: that run may have paid for rows that the copy calls pending.

    Raises:
        LedgerError: it is one.
    """
    if owner.inode != inode_of(path):
        raise LedgerError(
            f"{path} is a copy of a ledger that was made while a run had it open: jobs that the run submitted later "
            f"are missing. Nothing was sent. Use the original. If that is lost, {_RECOVER.format(path=path)}; rows "
            "that the copy does not know as submitted are then paid again."
        )


def refuse_lost_journal(path: Path) -> None:
    """Refuse a ledger of a killed run whose journal is missing.

    Raises:
        LedgerError: always.
    """
    raise LedgerError(
        f"The last run of the ledger {path} was killed, and the file {journal_of(path).name} that belongs beside it is "
        "missing: what was being written may be half there. Nothing was sent. Put that file back, or open the ledger "
        f"by the path that the run used. If that is not possible, {_RECOVER.format(path=path)}."
    )
