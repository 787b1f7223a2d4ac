"""A copy of the current state of a ledger, for a dry run."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from pyannote_voiceprint_async.sqlite_transaction import atomic

from .checksums import check_integrity
from .connection import open_writable, read_snapshot
from .journal import journal_path, lost_journal_error
from .ownership import check_not_copied, read_owner

__all__ = ["copy_ledger", "temporary_copy"]

# The tables that decide what a run does.
_TABLES = (
    "meta", "recordings", "labels", "jobs", "lost_intents", "forgotten", "looks", "identifications",
    "identification_jobs",
)  # fmt: skip
# The columns with results, which are personal data and do not change the plan.
_NOT_COPIED = ("voiceprint", "warnings", "result")


@asynccontextmanager
async def temporary_copy(source: Path) -> AsyncIterator[Path]:
    """Copy a ledger with `copy_ledger`, yield the path of the copy, and delete it at the end."""
    # A directory that only this user can read, like the ledger itself.
    directory = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="pyannote-voiceprint-")
    try:
        copy = Path(directory.name, "copy.ledger")
        await asyncio.to_thread(copy_ledger, source, copy)
        yield copy
    finally:
        await asyncio.to_thread(directory.cleanup)


def copy_ledger(source: Path, copy: Path) -> None:
    """Copy a ledger without its voiceprints. If there is no ledger yet, the copy is empty.

    Raises:
        LedgerError: the ledger cannot be read, or a run would refuse it.
    """
    with closing(open_writable(copy, create=True)) as target:
        if not source.exists():
            return
        had_journal = journal_path(Path(os.path.realpath(source))).exists()
        with read_snapshot(source) as origin:
            if (owner := read_owner(origin)) is not None:
                if not had_journal:
                    raise lost_journal_error(source)
                check_not_copied(owner, source)
            check_integrity(origin, source)
            with atomic(target):
                for table in _TABLES:
                    _copy_table(origin, target, table)


def _copy_table(origin: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    columns = [name for (name,) in origin.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    copied = [name for name in columns if name not in _NOT_COPIED]
    if not copied:
        return  # a ledger of an earlier version lacks this table
    names, marks = ", ".join(copied), ", ".join("?" * len(copied))
    # All names are those of our own schema.
    select, insert = f"SELECT {names} FROM {table}", f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
    target.executemany(insert, origin.execute(select))
