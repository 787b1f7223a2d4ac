"""Plan a run of `identify`: what it submits, and what is billed. Pure: the run and its dry run make the same plan."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.enrollment.ledger.spending import billed_seconds
from pyannote_voiceprint_async.enrollment.ledger.unsent import UnsentRecording
from pyannote_voiceprint_async.enrollment.manifest.rows import State
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.plan import RunPlan
from pyannote_voiceprint_async.enrollment.run.planning import plan_submissions

__all__ = ["IdentificationRunPlan", "PlannedJob", "plan_run"]

# Jobs that were not sent, or whose outcome is unknown.
_WITHOUT_JOB = (State.PENDING, State.SUBMITTING, State.UNCERTAIN)


@attrs.frozen
class PlannedJob:
    """One job of a run: a recording, one of the requests for it, and its state in the ledger."""

    is_file: bool
    """Whether the recording is a local file, which must be uploaded."""
    seconds: float | None
    """The length of the recording in seconds, if it is known."""
    state: str = State.PENDING
    """The state of its row in the ledger."""
    accepted_at: float | None = None
    """When its job was accepted, in UTC epoch seconds."""
    media_url: str | None = None
    """The URL of an earlier upload of the file."""
    uploaded_at: float | None = None
    """When the file was uploaded, in UTC epoch seconds."""


@attrs.frozen
class IdentificationRunPlan:
    """What a run would do, provided that no job fails."""

    counts: RunPlan
    """The jobs by state; a row is one job. `expiring`, `left` and `price` are not used."""
    billed_seconds: int
    """The seconds that are billed for the jobs to submit, without those whose recording has an unknown length."""
    unknown_lengths: int
    """The number of jobs to submit whose recording has an unknown length."""


def plan_run(jobs: Iterable[PlannedJob], options: Options, now: float) -> IdentificationRunPlan:
    """Return the plan of a run with these jobs.

    Args:
        jobs: the jobs, each once.
        options: the options of the run.
        now: UTC epoch seconds.
    """
    jobs = list(jobs)
    states = [job.state for job in jobs]
    counts = RunPlan(
        rows=len(jobs),
        succeeded=states.count(State.SUCCEEDED),
        submitted=states.count(State.SUBMITTED),
        overdue=sum(job.state == State.SUBMITTED and _is_overdue(job, now) for job in jobs),
        failed=states.count(State.FAILED),
        expired=states.count(State.EXPIRED),
    )
    unsent = [job for job in jobs if job.state in _WITHOUT_JOB]
    counts = plan_submissions(map(_to_unsent, unsent), plan=counts, options=options, now=now)
    sent = [job.seconds for job in unsent if job.state == State.PENDING or options.on_unknown == "resubmit"]
    return IdentificationRunPlan(
        counts,
        billed_seconds=sum(billed_seconds(seconds) for seconds in sent if seconds is not None),
        unknown_lengths=sent.count(None),
    )


def _is_overdue(job: PlannedJob, now: float) -> bool:
    return job.accepted_at is not None and job.accepted_at <= now - OUTPUT_LIFETIME


def _to_unsent(job: PlannedJob) -> UnsentRecording:
    return UnsentRecording(job.state == State.PENDING, job.is_file, None, job.media_url, job.uploaded_at, rows=1)
