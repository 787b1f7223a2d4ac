"""The lines of all commands: plain JSON types, URLs masked."""

from typing import Any

from pyannote_voiceprint_async.errors import (
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import JobCreated, JobSummary, Voiceprint, VoiceprintJob
from pyannote_voiceprint_async.redaction import redact_url

from .sources import Recording

__all__ = ["announcement", "failure", "job_record", "status_of", "submission_record", "success", "summary_record"]


def announcement(recording: Recording, job: JobCreated, model: str) -> dict[str, Any]:
    """Give what is said of a job before it is waited for."""
    return {
        "label": recording.label,
        "source": recording.shown,
        "status": "submitted",
        "job_id": job.job_id,
        "model": model,
    }


def success(recording: Recording, voiceprint: Voiceprint) -> dict[str, Any]:
    """Give the line of a voiceprint. It stands there in clear."""
    return {
        "label": recording.label,
        "source": recording.shown,
        "status": "succeeded",
        "job_id": voiceprint.job_id,
        "model": voiceprint.model,
        "voiceprint": voiceprint.value,
        "warnings": [*recording.warnings, *voiceprint.warnings],
        "error": None,
    }


def failure(recording: Recording, job: JobCreated | None, error: VoiceprintError, model: str) -> dict[str, Any]:
    """Give the line of a recording that has no voiceprint (yet)."""
    return {
        "label": recording.label,
        "source": recording.shown,
        "status": status_of(error, submitted=job is not None),
        "job_id": job.job_id if job else error.job_id,
        "model": model,
        "voiceprint": None,
        "warnings": [*recording.warnings, *([job.warning] if job and job.warning else [])],
        "error": str(error),
    }


def status_of(error: VoiceprintError, *, submitted: bool) -> str:
    """Give the status of a line with an error.

    `failed`: there is no job that could still give a voiceprint; `canceled`: its job was canceled; `submitted`:
    its job goes on, `pyannote-voiceprint job ID` fetches it; `unknown`: there may be a job whose id nobody knows.
    """
    if isinstance(error, JobCanceledError):
        return "canceled"
    if submitted and not isinstance(error, JobFailedError | JobExpiredError):
        return "submitted"
    return "unknown" if error.outcome_unknown else "failed"


def submission_record(url: str, job: JobCreated | None, error: VoiceprintError | None) -> dict[str, Any]:
    """Give what became of a submission that nobody waits for here."""
    return {
        "source": redact_url(url),
        "job_id": job.job_id if job else None,
        "status": status_of(error, submitted=False) if error else str(job.status) if job else None,
        "warning": job.warning if job else None,
        "error": str(error) if error else None,
    }


def job_record(job: VoiceprintJob) -> dict[str, Any]:
    """Give all that is known of a job, its voiceprint in clear."""
    return {
        "job_id": job.job_id,
        "status": str(job.status),
        "created_at": job.created_at.isoformat() if job.created_at else None,
        "updated_at": job.updated_at.isoformat() if job.updated_at else None,
        "voiceprint": job.voiceprint,
        "warning": job.output.warning if job.output else None,
        "error": job.output.error if job.output else None,
    }


def summary_record(job: JobSummary) -> dict[str, Any]:
    """Give a job of the list."""
    return {
        "job_id": job.job_id,
        "status": str(job.status),
        "created_at": job.created_at.isoformat() if job.created_at else None,
    }
