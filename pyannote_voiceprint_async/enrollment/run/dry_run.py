"""A dry run: predict what a run would do and cost. The list is read and checked; nothing is sent or changed."""

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

from .row_source import stage_rows

__all__ = ["EUROS_PER_JOB", "DryRun", "dry_run"]

EUROS_PER_JOB = 0.015
"""The approximate price of a voiceprint at pyannoteAI, as of 2026."""

_PAGE = 256


@attrs.frozen
class DryRun:
    """The prediction of a run. Counts are rows, unless another unit is named."""

    rows: int = 0
    """All rows of the list, without those that would be left out."""
    succeeded: int = 0
    """Rows that already have their voiceprint."""
    submitted: int = 0
    """Rows with an accepted job that the run would wait for."""
    unresolved: int = 0
    """Rows of unknown outcome, which the run would resolve first."""
    failed: int = 0
    """Rows that failed and would not be retried."""
    expired: int = 0
    """Rows that were billed, whose result expired, and that would not be resubmitted."""
    invalid: int = 0
    """Invalid rows, which would be left out."""
    forgotten: int = 0
    """Rows that were erased, which would be left out."""
    replaced: int = 0
    """Rows with another recording than in an earlier list, which was billed."""
    jobs: int = 0
    """Jobs that would be submitted and billed."""
    uploads: int = 0
    """Jobs among them that need an upload of a local file."""
    left: int = 0
    """Recordings that `max_jobs` would leave to a later run."""
    seconds: float = 0.0
    """The shortest time for the submissions that the rate limit allows, in seconds."""
    expiring: int = 0
    """Presigned URLs that would expire before they are submitted."""
    warnings: tuple[RowWarning, ...] = ()
    """The warnings about recordings; the first thousand."""
    problems: tuple[Problem, ...] = ()
    """The problems of the rows that would be left out; the first thousand."""

    @property
    def euros(self) -> float:
        """The approximate cost of the jobs."""
        return self.jobs * EUROS_PER_JOB

    @property
    def is_complete(self) -> bool:
        """Whether each row would have its voiceprint, provided that no job fails."""
        return not (self.invalid or self.failed or self.expired or self.left)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return attrs.asdict(self) | {"euros": round(self.euros, 3)}


async def dry_run(
    client: AsyncVoiceprintClient,
    rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
    ledger: str | os.PathLike[str],
    options: Options,
    limit: RateLimit,
) -> DryRun:
    """Return what `enroll` would do with the same arguments. No request is sent, and the ledger is not changed.

    Args:
        client: the client, for its base URL and key.
        rows: the list.
        ledger: the path of the ledger, which need not exist.
        options: the options of the run.
        limit: the rate limit of submissions.

    Raises:
        ManifestError: the list is invalid.
        LedgerError: the ledger cannot be read, or belongs to another API or key.
    """
    # Only this user can read the directory, as the ledger itself.
    directory = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="pyannote-voiceprint-")
    try:
        copy = Path(directory.name, "copy.ledger")
        await asyncio.to_thread(copy_ledger, Path(ledger), copy)
        async with LedgerStore(copy) as store:
            return await _stage_and_predict(client, rows, store, options, limit)
    finally:
        await asyncio.to_thread(directory.cleanup)


async def _stage_and_predict(
    client: AsyncVoiceprintClient,
    rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
    ledger: LedgerStore,
    options: Options,
    limit: RateLimit,
) -> DryRun:
    engine, now = client.engine, client.engine.clock.wall()
    await ledger.claim(options.origin or engine.base_url, engine.api_key, new_key=options.new_key)
    staging = Staging.for_run(ledger, options)
    await stage_rows(staging, rows)
    await staging.apply(now=now, retry_failed=options.retry_failed, retry_expired=options.retry_expired)
    return attrs.evolve(
        await _predict(ledger, max_jobs=options.max_jobs, limit=limit, now=now),
        invalid=staging.invalid,
        forgotten=staging.forgotten,
        replaced=staging.replaced,
        warnings=tuple(staging.warnings),
        problems=tuple(staging.problems),
    )


async def _predict(ledger: LedgerStore, *, max_jobs: int | None, limit: RateLimit, now: float) -> DryRun:
    report = await ledger.report()
    after = uploads = expiring = jobs = left = 0
    while recordings := await ledger.pending(after, _PAGE):  # in the order of a run
        after = recordings[-1].id
        for recording in recordings:
            if jobs == max_jobs:
                left += 1
                continue
            # The rate limit allows `limit` jobs at once, and as many again after each `per` seconds.
            submitted_at = now + jobs // limit.limit * limit.per
            jobs += 1
            uploads += recording.is_file
            expiring += recording.expires_at is not None and recording.expires_at <= submitted_at
    return DryRun(
        rows=report.rows,
        succeeded=report.succeeded,
        submitted=report.submitted,
        unresolved=report.unanswered + report.uncertain,
        failed=report.failed,
        expired=report.expired,
        jobs=jobs,
        uploads=uploads,
        left=left,
        seconds=max(0, jobs - 1) // limit.limit * limit.per,
        expiring=expiring,
    )
