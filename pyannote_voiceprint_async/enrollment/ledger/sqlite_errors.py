"""Translate errors of SQLite and of the file system into `LedgerError`: what happened, and what to do next."""

import sqlite3
from pathlib import Path

from pyannote_voiceprint_async.errors import LedgerError

__all__ = [
    "DAMAGED_ROW",
    "damage_error",
    "is_busy",
    "is_damage",
    "is_full",
    "lock_timeout_error",
    "read_error",
    "unusable_file_error",
    "write_error",
]

DAMAGED_ROW = "damaged row"
"""The text with which the triggers of `checksums` abort a statement."""

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def unusable_file_error(path: Path, exc: Exception) -> LedgerError:
    """Return the error for a file that cannot be opened as a ledger."""
    reason = (exc.strerror if isinstance(exc, OSError) else str(exc)) or type(exc).__name__
    if isinstance(exc, FileNotFoundError):
        folder = path.parent
        return LedgerError(f"There is no ledger {path}." if folder.is_dir() else f"There is no folder {folder}.")
    if "malformed" in reason or is_damage(exc):
        return damage_error(reason, str(path))
    if is_busy(exc):
        return LedgerError(
            f"The ledger {path} is locked by another program, such as an SQLite browser with an unsaved change. Close "
            "that program, then run again."
        )
    if "not a database" in reason:
        return LedgerError(f"{path} is not a ledger. Choose another file.")
    return LedgerError(f"The ledger {path} cannot be used ({reason.lower()}).")


def read_error(path: Path, exc: Exception) -> LedgerError:
    """Return the error for a ledger that cannot be read."""
    return LedgerError(f"The ledger {path} cannot be read ({exc}).")


def write_error(path: Path, exc: Exception) -> Exception:
    """Return the error for a failed write; an error that SQLite did not raise is returned as it is."""
    if is_damage(exc):
        return damage_error("a row that was about to be changed", path.name)
    if not isinstance(exc, sqlite3.Error):
        return exc
    return LedgerError(
        f"The ledger cannot be written ({exc}). Make room on its disk, then run again: nothing in the ledger is lost."
    )


def damage_error(finding: str, name: str = "") -> LedgerError:
    """Return the error for a ledger in which bits have changed.

    Args:
        finding: what is damaged.
        name: the name of the file, where it is known.
    """
    return LedgerError(
        f"The ledger {name and name + ' '}is damaged ({finding}): another program changed its bytes, or its disk is "
        "failing. Nothing more is sent, because billed rows might be billed again. Restore a backup of the ledger; "
        "`pyannote-voiceprint jobs` lists the jobs of the last day."
    )


def lock_timeout_error(seconds: float) -> LedgerError:
    """Return the error for a ledger that another program kept locked for too long."""
    return LedgerError(
        f"Another program has kept the ledger locked for {seconds:.0f} seconds, such as an SQLite browser with an "
        "unsaved change. Close that program, then run again: nothing in the ledger is lost."
    )


def is_damage(exc: Exception) -> bool:
    """Return whether a trigger found a row that differs from its checksum."""
    return isinstance(exc, sqlite3.IntegrityError) and DAMAGED_ROW in str(exc)


def is_busy(exc: Exception) -> bool:
    """Return whether another connection has the file locked."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_full(exc: Exception) -> bool:
    """Return whether the disk is full."""
    return isinstance(exc, sqlite3.OperationalError) and getattr(exc, "sqlite_errorcode", 0) & 0xFF in _FULL
