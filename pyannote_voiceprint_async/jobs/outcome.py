"""What a finished job means for those who wait for it."""

from __future__ import annotations

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.errors import JobCanceledError, JobError, JobExpiredError, JobFailedError
from pyannote_voiceprint_async.models import JobStatus, VoiceprintJob
from pyannote_voiceprint_async.redaction import redact_text

__all__ = ["require_voiceprint", "succeeded_job", "unknown_job"]

_LONG = 60.0


def succeeded_job(job: VoiceprintJob, wall: float) -> VoiceprintJob:
    """Return a job of any kind that has succeeded.

    Args:
        job: a job whose status is terminal.
        wall: UTC epoch seconds.

    Raises:
        JobFailedError: it failed, with the server's reason.
        JobCanceledError: it was canceled.
        JobExpiredError: it succeeded, and its output is gone.
    """
    reason = redact_text(job.output.error) if job.output and job.output.error else None
    if job.status is JobStatus.FAILED:
        raise JobFailedError(
            f"Job {job.job_id} failed: {reason or 'the API gives no reason'}. Failed jobs are not billed.",
            job_id=job.job_id,
            message=reason,
        )
    if job.status is JobStatus.CANCELED:
        raise JobCanceledError(
            f"Job {job.job_id} was canceled. Canceled jobs are not billed.", job_id=job.job_id, message=reason
        )
    changed = job.updated_at or job.created_at
    if not job.has_result and (changed is None or wall - changed.timestamp() >= OUTPUT_LIFETIME - _LONG):
        raise _output_deleted(job.job_id)
    return job


def require_voiceprint(job: VoiceprintJob) -> VoiceprintJob:
    """Return a job that has succeeded, if it has a voiceprint.

    Raises:
        JobExpiredError: it has no output.
        JobError: its output is that of another kind of job.
    """
    if job.voiceprint is not None:
        return job
    if job.has_result:
        raise JobError(
            f"Job {job.job_id} has succeeded, but its output holds no voiceprint: it is a job of another kind. "
            "wait() returns its output.",
            job_id=job.job_id,
        )
    raise JobExpiredError(
        f"Job {job.job_id} has succeeded, but the API shows no output of it. wait({job.job_id!r}) tries again; without "
        "an output it must be submitted, and paid, again.",
        job_id=job.job_id,
    )


def unknown_job(job_id: str) -> JobExpiredError:
    """Build the error for a job that the API does not know."""
    return JobExpiredError(
        f"There is no job {job_id}, or none any more. Check the id, and that the key is of the team that made it.",
        job_id=job_id,
    )


def _output_deleted(job_id: str) -> JobExpiredError:
    return JobExpiredError(
        f"Job {job_id} is done, but its output is not there any more: outputs are deleted 24 hours after completion. "
        "For a voiceprint it must be submitted, and paid, again.",
        job_id=job_id,
    )
