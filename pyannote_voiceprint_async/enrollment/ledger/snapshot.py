"""A copy of a ledger at one moment, for a dry run."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from pyannote_voiceprint_async.errors import LedgerError

from .database import check_whole
from .ownership import journal_of, owner_of, refuse_copy, refuse_lost_journal
from .store import open_connection, open_to_read

__all__ = ["copy_ledger"]

# Whatever a run needs to know. Voiceprints stay where they are.
_TABLES = ("meta", "recordings", "labels", "jobs", "lost_intents", "forgotten", "looks")
_NOT_COPIED = ("voiceprint", "warnings")


def copy_ledger(source: Path, copy: Path) -> None:
    """Copy a ledger as it is at one moment, without what is private in it."""
    with closing(open_connection(copy, create=True)) as target:
        if not source.exists():
            return
        had_journal = journal_of(Path(os.path.realpath(source))).exists()
        with closing(open_to_read(source)) as origin:
            try:
                origin.execute("BEGIN")
                # What a run would refuse.
                if (owner := owner_of(origin)) is not None:
                    if not had_journal:
                        refuse_lost_journal(source)
                    refuse_copy(owner, source)
                check_whole(origin, source)
                target.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    _copy_table(origin, target, table)
                target.execute("COMMIT")
            except sqlite3.Error as exc:
                raise LedgerError(f"The ledger {source} cannot be looked at ({exc}).") from None


def _copy_table(origin: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    names = [name for (name,) in origin.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    kept = [name for name in names if name not in _NOT_COPIED]
    if not kept:
        return  # the ledger is of an earlier version
    listed, marks = ", ".join(kept), ", ".join("?" * len(kept))
    # All these names are those of our own schema.
    ask, put = f"SELECT {listed} FROM {table}", f"INSERT INTO {table} ({listed}) VALUES ({marks})"  # noqa: S608
    target.executemany(put, origin.execute(ask))
