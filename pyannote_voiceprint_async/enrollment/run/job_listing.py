"""The team's list of jobs, read back to a moment, and sorted into ours and unknown ones."""

from collections.abc import Sequence

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.errors import UnexpectedResponseError
from pyannote_voiceprint_async.models import JobSummary

from .outcome_matching import Offset, OwnJob, UnknownJob, measure

__all__ = ["Listing", "UnbelievableError", "list_back_to"]

_LOOKED_UP_AT_ONCE = 100
# Of others, in the time of our own submissions: at the highest limit that would be a day and a half.
_MOST_UNKNOWN = 1_000_000


class UnbelievableError(Exception):
    """A list of jobs that cannot be complete. Internal: caught by `OutcomeResolver`."""


@attrs.define
class Listing:
    """What the list showed."""

    total: float
    """Seconds that one submission may take (`Timeouts.total`)."""
    ours: list[OwnJob] = attrs.field(factory=list)
    unknown: list[UnknownJob] = attrs.field(factory=list)
    since: float | None = None
    """When the oldest listed job was made; None where the list was read to its end."""

    @property
    def offset(self) -> Offset:
        """How far the clock of `createdAt` is ahead of this machine's."""
        return measure(self.ours, self.total)

    def add(self, jobs: Sequence[JobSummary], known: dict[str, tuple[float | None, str | None]]) -> None:
        """Sort a piece of the list in.

        Args:
            jobs: the piece.
            known: those of these jobs that are ours, each with when it was accepted and for which model.
        """
        for job in jobs:
            created_at = _created_at(job)
            if job.job_id in known:
                self.ours.append(OwnJob(created_at, *known[job.job_id], job.type, job.model))
            else:
                self.unknown.append(UnknownJob(job.job_id, created_at, job.type, job.model))


async def list_back_to(
    client: AsyncVoiceprintClient, ledger: LedgerStore, moment: float, *, wanted: str | None, total: float
) -> Listing:
    """List jobs, newest first, until all are older than a moment.

    Args:
        client: the way to the API.
        ledger: knows which jobs are ours.
        moment: UTC epoch seconds of this machine; how the clock of `createdAt` differs from it is measured on the way.
        wanted: a job of ours that the list must contain.
        total: `Timeouts.total`.

    Raises:
        UnbelievableError: the wanted job is not listed, so others may be missing too.
        VoiceprintError: the jobs cannot be listed.
    """
    listing, piece, has_wanted = Listing(total), list[JobSummary](), wanted is None
    async for job in client.list_jobs():
        has_wanted |= job.job_id == wanted
        piece.append(job)
        if len(piece) < _LOOKED_UP_AT_ONCE:
            continue
        listing.add(piece, await ledger.known_jobs([one.job_id for one in piece]))
        if len(listing.unknown) > _MOST_UNKNOWN:
            raise UnexpectedResponseError("The API's list of jobs does not end, so nobody can know what is missing.")
        # Newest first, but that is not documented to the second: only a whole piece of older jobs ends the listing.
        times = [_created_at(one) for one in piece]
        if all(time is not None and time < moment + listing.offset.earliest for time in times):
            listing.since = times[-1]
            break
        piece = []
    else:
        listing.add(piece, await ledger.known_jobs([one.job_id for one in piece]))
    if not has_wanted:
        raise UnbelievableError
    return listing


def _created_at(job: JobSummary) -> float | None:
    return job.created_at.timestamp() if job.created_at else None
