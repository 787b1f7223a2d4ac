"""SQLite's rollback journal, which stays beside the ledger as long as a run has the ledger open."""

import os
from contextlib import suppress
from pathlib import Path

from pyannote_voiceprint_async.errors import LedgerError

__all__ = ["RECOVER_HINT", "journal_path", "lost_journal_error", "restore_journal"]

RECOVER_HINT = "`pyannote-voiceprint ledger recover {path}` checks this file and opens it for the next run"


def journal_path(path: Path) -> Path:
    """Return the path of the journal of a ledger."""
    return path.with_name(f"{path.name}-journal")


def restore_journal(path: Path) -> None:
    """Create the journal of an open ledger again: SQLite deletes the file after it has rolled back with it."""
    with suppress(OSError):  # usually the file exists
        os.close(os.open(journal_path(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def lost_journal_error(path: Path) -> LedgerError:
    """Return the error for a ledger whose run was killed and whose journal is missing."""
    return LedgerError(
        f"The last run of the ledger {path} was killed, and the file {journal_path(path).name} that belongs beside it "
        "is missing: a transaction may be half written. Nothing was sent. Put that file back, or open the ledger by "
        f"the path that the run used. If that is not possible, {RECOVER_HINT.format(path=path)}."
    )
