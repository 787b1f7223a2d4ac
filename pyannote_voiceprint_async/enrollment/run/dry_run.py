"""What a run would do, and cost: the list is read and checked, and nothing is sent or changed."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from typing import Any

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.events import RowWarning
from pyannote_voiceprint_async.enrollment.ledger.snapshot import copy_ledger
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.settings import RateLimit

__all__ = ["EUROS_PER_JOB", "DryRun", "dry_run"]

EUROS_PER_JOB = 0.015
"""About what pyannoteAI takes for a voiceprint, as of 2026."""

_PAGE = 256


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
    notes: tuple[RowWarning, ...] = ()
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
        await asyncio.to_thread(copy_ledger, Path(ledger), copy)
        async with LedgerStore(copy) as opened:
            return await _rehearse(client, rows, opened, options, limit)
    finally:
        await asyncio.to_thread(folder.cleanup)


async def _rehearse(
    client: AsyncVoiceprintClient,
    rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
    ledger: LedgerStore,
    options: Options,
    limit: RateLimit,
) -> DryRun:
    # As a run does it.
    base_url, key, now = client._base_url, client._transport.key, client._clock.wall()
    await ledger.claim(options.origin or base_url, key, new_key=options.new_key)
    loading = Staging.for_run(ledger, options)
    await loading.stage(rows)
    await loading.apply(now=now, retry_failed=options.retry_failed, retry_expired=options.retry_expired)
    found = await _foresee(ledger, most=options.max_jobs, limit=limit, now=now)
    return attrs.evolve(
        found,
        invalid=loading.invalid,
        forgotten=loading.forgotten,
        replaced=loading.replaced,
        notes=tuple(loading.warnings),
        problems=tuple(loading.problems),
    )


async def _foresee(ledger: LedgerStore, *, most: int | None, limit: RateLimit, now: float) -> DryRun:
    states = await ledger.report()
    after = uploads = expiring = jobs = left = 0
    while recordings := await ledger.pending(after, _PAGE):  # in the order in which a run sends them
        after = recordings[-1].id
        for recording in recordings:
            if jobs == most:
                left += 1
                continue
            # The first ones go at once, and as many each time when the window is over.
            turn = now + jobs // limit.limit * limit.per
            jobs += 1
            uploads += recording.is_file
            expiring += recording.expires_at is not None and recording.expires_at <= turn
    return DryRun(
        rows=states.rows,
        succeeded=states.succeeded,
        submitted=states.submitted,
        unresolved=states.unanswered + states.uncertain,
        failed=states.failed,
        expired=states.expired,
        jobs=jobs,
        uploads=uploads,
        left=left,
        seconds=max(0, jobs - 1) // limit.limit * limit.per,
        expiring=expiring,
    )
