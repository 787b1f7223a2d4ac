"""The team's list of jobs, read back to a point in time and compared with the ledger."""

from collections.abc import Sequence

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.errors import UnexpectedResponseError
from pyannote_voiceprint_async.models import JobSummary

from .outcome_matching import ClockOffset, OwnJob, UnknownJob, measure_offset

__all__ = ["IncompleteListingError", "JobListing", "list_jobs_since"]

_LOOKUP_SIZE = 100
# More unknown jobs than the highest known rate limit allows in a day and a half. A longer list probably has no end.
_MAX_UNKNOWN = 1_000_000


class IncompleteListingError(Exception):
    """The list of jobs lacks a job that it must contain. Internal: caught by `OutcomeResolver`."""


@attrs.define
class JobListing:
    """The listed jobs, divided into our own (those in the ledger) and unknown ones."""

    max_submission_seconds: float
    """The longest duration of one submission (`Timeouts.total`)."""
    own_jobs: list[OwnJob] = attrs.field(factory=list)
    unknown_jobs: list[UnknownJob] = attrs.field(factory=list)
    since: float | None = None
    """Creation time of the oldest listed job; None if the list was read to its end."""

    @property
    def offset(self) -> ClockOffset:
        """How far the clock of `createdAt` is ahead of this machine's clock."""
        return measure_offset(self.own_jobs, self.max_submission_seconds)

    def add(self, jobs: Sequence[JobSummary], in_ledger: dict[str, tuple[float | None, str | None]]) -> None:
        """Add a part of the list.

        Args:
            jobs: the part.
            in_ledger: the jobs among them that the ledger contains: their time of acceptance and model, by job id.
        """
        for job in jobs:
            created_at = _created_at(job)
            if job.job_id in in_ledger:
                self.own_jobs.append(OwnJob(created_at, *in_ledger[job.job_id], job.type, job.model))
            else:
                self.unknown_jobs.append(UnknownJob(job.job_id, created_at, job.type, job.model))


async def list_jobs_since(
    client: AsyncVoiceprintClient,
    ledger: LedgerStore,
    since: float,
    *,
    required: str | None,
    max_submission_seconds: float,
) -> JobListing:
    """List jobs, newest first, until all following jobs are older than a point in time.

    Args:
        client: the client that lists the jobs.
        ledger: the ledger that contains our own jobs.
        since: the point in time, UTC epoch seconds of this machine's clock. The difference to the clock of `createdAt`
            is measured from the jobs that are listed.
        required: id of a job of ours that the list must contain; None if there is none.
        max_submission_seconds: the longest duration of one submission (`Timeouts.total`).

    Raises:
        IncompleteListingError: the required job is not listed, so other jobs may be missing too.
        VoiceprintError: the jobs cannot be listed.
    """
    listing, part, has_required = JobListing(max_submission_seconds), list[JobSummary](), required is None
    async for job in client.list_jobs():
        has_required |= job.job_id == required
        part.append(job)
        if len(part) < _LOOKUP_SIZE:
            continue
        listing.add(part, await ledger.known_jobs([listed.job_id for listed in part]))
        if len(listing.unknown_jobs) > _MAX_UNKNOWN:
            raise UnexpectedResponseError("The API's list of jobs does not end, so it cannot be read completely.")
        # The order of the list may be inexact, so the listing ends only when all jobs of a part are older.
        times = [_created_at(listed) for listed in part]
        if all(time is not None and time < since + listing.offset.lowest for time in times):
            listing.since = times[-1]
            break
        part = []
    else:
        listing.add(part, await ledger.known_jobs([listed.job_id for listed in part]))
    if not has_required:
        raise IncompleteListingError
    return listing


def _created_at(job: JobSummary) -> float | None:
    return job.created_at.timestamp() if job.created_at else None
