"""What a run of `identify` will do and what will be billed: pure, for the run itself and for its dry run."""

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

_UNKNOWN_OUTCOME = (State.SUBMITTING, State.UNCERTAIN)


@attrs.frozen
class PlannedJob:
    """One job of a run: a recording, one of the requests for it, and its state in the ledger."""

    is_file: bool
    seconds: float | None
    """The length of the recording, if it is known."""
    state: str = State.PENDING
    accepted_at: float | None = None
    """When its job was accepted, in UTC epoch seconds."""
    media_url: str | None = None
    uploaded_at: float | None = None


@attrs.frozen
class IdentificationRunPlan:
    """What a run would do, provided that no job fails."""

    counts: RunPlan
    """The jobs by state; a row is one job. `expiring`, `left` and `price` are not used."""
    billed_seconds: int
    """The billed seconds of the jobs to submit, as far as the lengths of their recordings are known."""
    unknown_lengths: int
    """Jobs to submit whose recording has an unknown length."""


def plan_run(jobs: Iterable[PlannedJob], options: Options, now: float) -> IdentificationRunPlan:
    """Return what a run does with these jobs.

    Args:
        jobs: the jobs, each once.
        options: the options of the run.
        now: UTC epoch seconds.
    """
    jobs = list(jobs)
    states = [job.state for job in jobs]
    overdue = [job for job in jobs if job.state == State.SUBMITTED and _is_overdue(job, now)]
    counts = RunPlan(
        rows=len(jobs),
        succeeded=states.count(State.SUCCEEDED),
        submitted=states.count(State.SUBMITTED),
        overdue=len(overdue),
        failed=states.count(State.FAILED),
        expired=states.count(State.EXPIRED),
    )
    unsent = [job for job in jobs if job.state == State.PENDING or job.state in _UNKNOWN_OUTCOME]
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
