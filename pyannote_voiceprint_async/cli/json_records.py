"""The JSON objects that commands print: plain JSON types, URLs redacted."""

from typing import Any

from pyannote_voiceprint_async.errors import (
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import Job, JobCreated, JobSummary, Voiceprint
from pyannote_voiceprint_async.redaction import redact_url

from .sources import LabeledSource

__all__ = [
    "failure_record",
    "job_record",
    "job_summary_record",
    "record_status",
    "submission_record",
    "submitted_record",
    "success_record",
]


def submitted_record(source: LabeledSource, job: JobCreated, model: str) -> dict[str, Any]:
    """Return the record of an accepted job, before the command waits for it."""
    return {
        "label": source.label,
        "source": source.shown,
        "status": "submitted",
        "job_id": job.job_id,
        "model": model,
    }


def success_record(source: LabeledSource, voiceprint: Voiceprint) -> dict[str, Any]:
    """Return the record of a source with its voiceprint, whose value is included."""
    return {
        "label": source.label,
        "source": source.shown,
        "status": "succeeded",
        "job_id": voiceprint.job_id,
        "model": voiceprint.model,
        "voiceprint": voiceprint.value,
        "warnings": [*source.warnings, *voiceprint.warnings],
        "error": None,
    }


def failure_record(source: LabeledSource, job: JobCreated | None, error: VoiceprintError, model: str) -> dict[str, Any]:
    """Return the record of a source without a voiceprint."""
    return {
        "label": source.label,
        "source": source.shown,
        "status": record_status(error, submitted=job is not None),
        "job_id": job.job_id if job else error.job_id,
        "model": model,
        "voiceprint": None,
        "warnings": [*source.warnings, *([job.warning] if job and job.warning else [])],
        "error": str(error),
    }


def record_status(error: VoiceprintError, *, submitted: bool) -> str:
    """Return the status of a record with an error.

    `failed`: no job can still return a voiceprint; `canceled`: the job was canceled; `submitted`: the job continues,
    and `pyannote-voiceprint job ID` fetches it; `unknown`: a job with an unknown id may exist.
    """
    if isinstance(error, JobCanceledError):
        return "canceled"
    if submitted and not isinstance(error, JobFailedError | JobExpiredError):
        return "submitted"
    return "unknown" if error.outcome_unknown else "failed"


def submission_record(url: str, job: JobCreated | None, error: VoiceprintError | None) -> dict[str, Any]:
    """Return the record of a submission that the command does not wait for."""
    return {
        "source": redact_url(url),
        "job_id": job.job_id if job else None,
        "status": record_status(error, submitted=False) if error else str(job.status) if job else None,
        "warning": job.warning if job else None,
        "error": str(error) if error else None,
    }


def job_record(job: Job) -> dict[str, Any]:
    """Return the record of a whole job, the value of its voiceprint included."""
    return {
        **job_summary_record(job),
        "updated_at": job.updated_at.isoformat() if job.updated_at else None,
        "voiceprint": job.voiceprint,
        "warning": job.output.warning if job.output else None,
        "error": job.output.error if job.output else None,
    }


def job_summary_record(job: JobSummary | Job) -> dict[str, Any]:
    """Return the record of a job in the list of jobs."""
    return {
        "job_id": job.job_id,
        "status": str(job.status),
        "created_at": job.created_at.isoformat() if job.created_at else None,
    }
