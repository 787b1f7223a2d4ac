"""The outcome of a wait for a job: the finished job, or an error."""

from __future__ import annotations

import attrs

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.errors import (
    JobCanceledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
)
from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.models import Job, JobStatus
from pyannote_voiceprint_async.redaction import redact_text

__all__ = [
    "is_output_deleted",
    "require_identification",
    "require_success",
    "require_voiceprint",
    "timeout_error",
    "unknown_job_error",
]

# Seconds by which the clocks of the server and of this machine may differ.
_CLOCK_TOLERANCE = 60.0


def require_success(job: Job, wall: float) -> Job:
    """Return a job of any kind, if it has succeeded and its output still exists.

    Args:
        job: a job with a terminal status.
        wall: UTC epoch seconds.

    Raises:
        JobFailedError: the job failed; the error has the server's reason.
        JobCanceledError: the job was canceled.
        JobExpiredError: the job succeeded, but its output is deleted.
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
    if not job.has_result and is_output_deleted(job, wall):
        raise JobExpiredError(
            f"Job {job.job_id} succeeded, but its output no longer exists: the API deletes outputs 24 hours after "
            "completion. To get a result, submit the audio again; it is billed again.",
            job_id=job.job_id,
        )
    return job


def is_output_deleted(job: Job, wall: float) -> bool:
    """Return whether the output of a job must be assumed deleted: the job is too old, or its age is unknown."""
    changed = job.updated_at or job.created_at
    return changed is None or wall - changed.timestamp() >= OUTPUT_LIFETIME - _CLOCK_TOLERANCE


def require_voiceprint(job: Job) -> Job:
    """Return a job that has succeeded, if its output holds a voiceprint.

    Raises:
        JobExpiredError: the job has no output.
        JobError: the output is that of another kind of job.
    """
    if job.voiceprint is not None:
        return job
    raise _other_kind_error(job, "voiceprint") if job.has_result else _no_output_error(job)


def require_identification(job: Job) -> IdentificationOutput:
    """Return the output of a succeeded job, if it can be that of an identification: every list can be missing.

    Raises:
        JobExpiredError: the job has no output.
        JobError: the output is that of another kind of job.
    """
    if isinstance(job.output, IdentificationOutput):
        return job.output
    if job.output is None:
        raise _no_output_error(job)
    if job.output.voiceprint is not None:
        raise _other_kind_error(job, "identification")
    # Imported here, because programs that only make voiceprints do not use it.
    from pyannote_voiceprint_async.api.identification_codec import read_identification  # noqa: PLC0415

    return attrs.evolve(read_identification(job.output.extra), warning=job.output.warning, error=job.output.error)


def _other_kind_error(job: Job, expected: str) -> JobError:
    return JobError(
        f"Job {job.job_id} succeeded, but its output holds no {expected}: it is a job of another kind. wait() "
        "returns its output.",
        job_id=job.job_id,
    )


def _no_output_error(job: Job) -> JobExpiredError:
    return JobExpiredError(
        f"Job {job.job_id} succeeded, but the API shows no output for it. Call wait({job.job_id!r}) to try again; if "
        "there is still no output, submit the audio again; it is billed again.",
        job_id=job.job_id,
    )


def unknown_job_error(job_id: str) -> JobExpiredError:
    """Build the error for a job that the API does not know."""
    return JobExpiredError(
        f"The API knows no job {job_id}: the id is wrong, the job is deleted, or it belongs to another team. Check the "
        "id, and that the API key is of the team that submitted the job.",
        job_id=job_id,
    )


def timeout_error(job_id: str) -> JobTimeoutError:
    """Build the error for a wait whose deadline passed before the job finished."""
    return JobTimeoutError(
        f"Job {job_id} did not finish within the timeout. The job continues: call wait({job_id!r}) to wait for it "
        "again.",
        job_id=job_id,
    )
