"""What a run would do, and cost: the list is read and checked, and nothing is sent or changed."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.events import RowWarning
from pyannote_voiceprint_async.enrollment.ledger.counts import report_of
from pyannote_voiceprint_async.enrollment.ledger.database import check_whole
from pyannote_voiceprint_async.enrollment.ledger.ledger import Ledger, open_connection, open_to_read
from pyannote_voiceprint_async.enrollment.ledger.ownership import (
    journal_of,
    owner_of,
    refuse_copy,
    refuse_lost_journal,
)
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import LedgerError
from pyannote_voiceprint_async.settings import RateLimit

__all__ = ["EUROS_PER_JOB", "DryRun", "dry_run"]

EUROS_PER_JOB = 0.015
"""About what pyannoteAI takes for a voiceprint, as of 2026."""

# Whatever a run needs to know. Voiceprints stay where they are.
_TABLES = ("meta", "recordings", "labels", "jobs", "lost_intents", "forgotten", "looks")
_NOT_COPIED = ("voiceprint", "warnings")

# In the order in which they are sent.
_TO_BE_SENT = """
SELECT is_file, expires_at FROM recordings
WHERE state = 'pending' AND EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id AND listed_in = ?)
ORDER BY id
"""


@attrs.frozen
class DryRun:
    """What a run would find and do."""

    rows: int = 0
    """Rows of the list, but for those that are left out."""
    succeeded: int = 0
    """Rows that have their voiceprint already."""
    submitted: int = 0
    """Rows whose job would be waited for."""
    unresolved: int = 0
    """Rows that may have been accepted: the run would find out first."""
    failed: int = 0
    """Rows that failed, and would stay so."""
    expired: int = 0
    """Rows that were paid and lost, and would stay so."""
    invalid: int = 0
    """Rows that are wrong, and would be left out."""
    forgotten: int = 0
    """Rows that were erased, and would be left out."""
    replaced: int = 0
    """Rows with another recording than in an earlier list, which was paid."""
    jobs: int = 0
    """Jobs that would be submitted, and paid."""
    uploads: int = 0
    """Those of them whose audio is a file of this machine."""
    left: int = 0
    """Recordings that `max_jobs` would leave for later."""
    seconds: float = 0.0
    """How long the submissions take at the limit, at least."""
    expiring: int = 0
    """Presigned URLs that would expire before their turn."""
    warnings: tuple[RowWarning, ...] = ()
    """What is to be told of the recordings that were looked at."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the rows that would be left out; the first thousand."""

    @property
    def euros(self) -> float:
        """What the jobs cost, about."""
        return self.jobs * EUROS_PER_JOB

    @property
    def is_complete(self) -> bool:
        """Whether each row would have its voiceprint, if none of the jobs fails."""
        return not (self.invalid or self.failed or self.expired or self.left)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return attrs.asdict(self) | {"euros": round(self.euros, 3)}


async def dry_run(
    client: AsyncVoiceprintClient,
    rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
    ledger: str | os.PathLike[str],
    options: Options,
    limit: RateLimit,
) -> DryRun:
    """Say what `enroll` would do with the same arguments. No request is sent, and the ledger stays as it is.

    Args:
        client: the way to the API; only asked whose it is.
        rows: the list.
        ledger: the path of the ledger, which need not be there.
        options: what the run would be told.
        limit: at most so many submissions in so many seconds.

    Raises:
        ManifestError: the list is wrong.
        LedgerError: the ledger cannot be read, or belongs to another API or key.
    """
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="pyannote-voiceprint-")  # private, as a ledger
    try:
        copy = Path(folder.name, "copy.ledger")
        await asyncio.to_thread(_copy, Path(ledger), copy)
        async with Ledger(copy) as opened:
            return await _rehearse(client, rows, opened, options, limit)
    finally:
        await asyncio.to_thread(folder.cleanup)


async def _rehearse(
    client: AsyncVoiceprintClient,
    rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
    ledger: Ledger,
    options: Options,
    limit: RateLimit,
) -> DryRun:
    # As a run does it.
    base_url, key, now = client.engine.base_url, client.engine.api_key, client.engine.clock.wall()
    await ledger.claim(options.origin or base_url, key, new_key=options.new_key)
    loading = Staging.of(ledger, options)
    await loading.load(rows, now=now, retry_failed=options.retry_failed, retry_expired=options.retry_expired)
    foresee = partial(_foresee, run=ledger.run, most=options.max_jobs, limit=limit, now=now)
    found = await ledger.database.read(foresee)
    return attrs.evolve(
        found,
        invalid=loading.invalid,
        forgotten=loading.forgotten,
        replaced=loading.replaced,
        warnings=tuple(loading.notes),
        problems=tuple(loading.problems),
    )


def _copy(source: Path, copy: Path) -> None:
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


def _foresee(connection: sqlite3.Connection, *, run: int, most: int | None, limit: RateLimit, now: float) -> DryRun:
    states = report_of(connection, run=run)
    ((unresolved,),) = connection.execute(
        "SELECT count(*) FROM labels JOIN recordings ON id = recording_id "
        "WHERE listed_in = ? AND state IN ('submitting', 'uncertain')",
        (run,),
    )
    uploads = expiring = jobs = left = 0
    for is_file, expires_at in connection.execute(_TO_BE_SENT, (run,)):
        if jobs == most:
            left += 1
            continue
        # The first ones go at once, and as many each time when the window is over.
        turn = now + jobs // limit.limit * limit.per
        jobs += 1
        uploads += is_file
        expiring += expires_at is not None and expires_at <= turn
    return DryRun(
        rows=states.rows,
        succeeded=states.succeeded,
        submitted=states.submitted,
        unresolved=unresolved,
        failed=states.failed,
        expired=states.expired,
        jobs=jobs,
        uploads=uploads,
        left=left,
        seconds=max(0, jobs - 1) // limit.limit * limit.per,
        expiring=expiring,
    )
