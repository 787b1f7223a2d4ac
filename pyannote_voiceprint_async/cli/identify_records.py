"""The JSON objects of `identify`: the fields of an `Identification`, and what happened to the recording."""

from typing import Any

import attrs

from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.identification import Decision, Identification
from pyannote_voiceprint_async.models import JobCreated

from .json_records import record_status
from .sources import LabeledSource

__all__ = ["failed_recording_record", "identification_record"]


def identification_record(source: LabeledSource, identification: Identification) -> dict[str, Any]:
    """Return the record of a recording with its result, which `Identification.from_dict` reads back."""
    return {
        "label": source.label,
        "source": source.shown,
        "status": "succeeded",
        "error": None,
        **identification.to_dict(),
        "warnings": [*source.warnings, *identification.warnings],
        "decisions": [_decision_record(decision) for decision in identification.decide()],
    }


def failed_recording_record(
    source: LabeledSource, job: JobCreated | None, error: VoiceprintError, model: str
) -> dict[str, Any]:
    """Return the record of a recording without a result, with the same fields."""
    empty = Identification((job.job_id if job else error.job_id) or "", model, warnings=source.warnings)
    return {
        "label": source.label,
        "source": source.shown,
        "status": record_status(error, submitted=job is not None),
        "error": str(error),
        **empty.to_dict(),
        "job_id": empty.job_id or None,
        "decisions": [],
    }


def _decision_record(decision: Decision) -> dict[str, Any]:
    return attrs.asdict(decision) | {"certainty": str(decision.certainty)}
