"""The owner mark inside the ledger: which process has it open, and whether the last run closed it.

Each write compares the owner token in its own transaction. A run whose ledger was taken over by another run, even on a
file system without locks, therefore stops before it sends anything.

A mark that is still open when the next run opens the file means that the last run was killed, or that the file is a
copy made during a run. SQLite's rollback journal stays beside the file as long as the mark is open: if the journal
is missing, a transaction may be half written and cannot be rolled back.

Each transaction changes the mark first, and the mark keeps its token when it is closed: so the journal of each
transaction contains the token, and a journal of another file or of an earlier run is recognized (`hot_journal`).
"""

import os
import re
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError
from pyannote_voiceprint_async.sqlite_transaction import atomic

from .checksums import check_integrity
from .journal import RECOVER_HINT
from .reserve import fill_reserve
from .sqlite_errors import unusable_file_error

__all__ = [
    "ORIGIN_SCHEMA",
    "OWNER_SCHEMA",
    "OWNER_TOKEN",
    "Owner",
    "check_not_copied",
    "disown",
    "mark_closed",
    "mark_open",
    "read_owner",
    "sign_journal",
]

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

ORIGIN_SCHEMA = """
    -- The device number of the file, and the boot of the machine: after a restart, the device may have another number.
    ALTER TABLE owner ADD COLUMN device INTEGER;
    ALTER TABLE owner ADD COLUMN boot TEXT;
    -- The token before this one, until the next transaction.
    ALTER TABLE owner ADD COLUMN previous TEXT NOT NULL DEFAULT '';
    ALTER TABLE owner ADD COLUMN is_open INTEGER NOT NULL DEFAULT 1;
    -- Each transaction counts, so that its journal contains the token.
    ALTER TABLE owner ADD COLUMN writes INTEGER NOT NULL DEFAULT 0;
    INSERT OR IGNORE INTO owner (id, token, inode, process, is_open)
    VALUES (1, 'owner-' || lower(hex(randomblob(16))), 0, 0, 0)
"""
"""The schema step after which the mark is kept when it is closed."""

OWNER_TOKEN = re.compile(b"owner-[0-9a-f]{32}")
"""The owner token in the bytes of a ledger or of its journal."""

_WRITE = """
UPDATE owner SET previous = token, token = ?, inode = ?, process = ?, device = ?, boot = ?, is_open = 1,
writes = writes + 1
"""
_SIGN = "UPDATE owner SET previous = '', writes = writes + 1"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# Milliseconds that closing a ledger waits for another program.
_CLOSE_TIMEOUT = 1000
_MAX_INTEGER = 2**63 - 1


class Owner(NamedTuple):
    """The process that has a ledger open."""

    token: str
    inode: int
    process: int
    device: int | None
    boot: str | None

    @classmethod
    def create(cls, path: Path) -> "Owner":
        """Return a new mark of this process for a file."""
        inode, device = _file_id(path)
        return cls(_new_token(), inode, os.getpid(), device, _boot_id())

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the mark, within a transaction of the caller."""
        connection.execute(_WRITE, self)

    def close(self, connection: sqlite3.Connection) -> None:
        """Close the mark if no other run has replaced it, within a transaction of the caller."""
        connection.execute("UPDATE owner SET is_open = 0 WHERE token = ?", (self.token,))

    def check(self, connection: sqlite3.Connection) -> None:
        """Check, at the start of a transaction, that no other run has taken over the ledger, and sign the journal.

        Raises:
            LedgerInUseError: another run has taken it over.
        """
        if not connection.execute(f"{_SIGN} WHERE is_open AND token = ?", (self.token,)).rowcount:
            raise LedgerInUseError(
                "Another run took over this ledger while this run had it open. This run sends nothing more; the other "
                "run continues."
            )


def sign_journal(connection: sqlite3.Connection) -> None:
    """Change the mark at the start of a transaction, so that its journal contains the token of the ledger."""
    connection.execute(_SIGN)


def disown(connection: sqlite3.Connection) -> None:
    """Close the mark and replace its token: no journal that exists belongs to the file from now on."""
    for _ in range(2):  # the first transaction keeps the old token as the previous one
        with atomic(connection):
            connection.execute(
                "UPDATE owner SET previous = token, token = ?, is_open = 0, writes = writes + 1",
                (_new_token(),),
            )


def read_owner(connection: sqlite3.Connection) -> Owner | None:
    """Return the open owner mark of a ledger, or None if no run has it open."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'owner'").fetchone():
        return None  # a ledger of an earlier version
    cursor = connection.execute("SELECT * FROM owner")
    found = cursor.fetchone()
    if found is None:
        return None
    # An earlier version has fewer columns, and deletes the row instead of closing it.
    row = dict(zip((column[0] for column in cursor.description), found, strict=True))
    if not row.get("is_open", 1):
        return None
    return Owner(row["token"], row["inode"], row["process"], row.get("device"), row.get("boot"))


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
        with suppress(sqlite3.Error), atomic(connection):  # a run can start on a full disk, without a reserve
            sign_journal(connection)
            fill_reserve(connection)
    except (sqlite3.Error, OSError) as exc:
        raise unusable_file_error(path, exc) from None
    return owner


def mark_closed(connection: sqlite3.Connection, path: Path, owner: Owner) -> None:
    """Close the owner mark of a ledger, and delete the journal beside it.

    A failure is ignored: the next run then checks the ledger as it does after a kill.
    """
    with suppress(sqlite3.Error, OSError):
        if _file_id(path) != (owner.inode, owner.device):
            return  # another file has this path now, and the journal belongs to that file
        connection.execute(f"PRAGMA busy_timeout = {_CLOSE_TIMEOUT}")
        with atomic(connection):
            owner.close(connection)
        if read_owner(connection) is None:
            connection.execute("PRAGMA journal_mode = DELETE")


def check_not_copied(owner: Owner, path: Path) -> None:
    """Refuse a copy that was made during a run: rows that are pending in the copy may be billed already.

    Raises:
        LedgerError: the file is such a copy.
    """
    inode, device = _file_id(path)
    # Another file system may use the same inode number. Device numbers may change when the machine restarts.
    is_same_boot = owner.boot is not None and owner.boot == _boot_id()
    if inode != owner.inode or (is_same_boot and device != owner.device):
        raise LedgerError(
            f"{path} is a copy of a ledger that was made while a run had it open: jobs that the run submitted later "
            f"are missing. Nothing was sent. Use the original. If that is lost, {RECOVER_HINT.format(path=path)}; rows "
            "that are not recorded as submitted in the copy are then billed again."
        )


def _new_token() -> str:
    return f"owner-{secrets.token_hex(16)}"


def _file_id(path: Path) -> tuple[int, int]:
    """Return the inode and the device of a file, each reduced to an INTEGER of SQLite."""
    found = path.stat()
    return found.st_ino & _MAX_INTEGER, found.st_dev & _MAX_INTEGER


def _boot_id() -> str | None:
    """Return the random id of the boot of this machine, or None where the system has none."""
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return None
