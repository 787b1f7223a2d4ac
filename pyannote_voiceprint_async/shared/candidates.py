"""Which jobs an earlier submission may have created."""

from __future__ import annotations

from enum import Enum

from pyannote_voiceprint_async.models import JobSummary

__all__ = ["CandidateAge", "candidate_age"]

# Seconds by which clocks may differ, and for which a server may hold back a submission.
_TOLERANCE = 600.0
# The API names jobs `identify` or `identification`: the first letters decide.
_TYPE_LETTERS = 7


class CandidateAge(Enum):
    """Whether a submission can have created a listed job."""

    POSSIBLE = "possible"
    OTHER = "created later, or of another kind"
    TOO_OLD = "created before; so are all jobs after it in the list"


def candidate_age(summary: JobSummary, operation: str, model: str, earliest: float, latest: float) -> CandidateAge:
    """Return whether a submission can have created a job.

    Args:
        summary: the job in a list, newest first.
        operation: `voiceprint` or `identify`.
        model: the model of the submission.
        earliest: the earliest time of the submission, in UTC epoch seconds of the server.
        latest: the latest time.
    """
    created = None if summary.created_at is None else summary.created_at.timestamp()
    if created is not None and created < earliest - _TOLERANCE:
        return CandidateAge.TOO_OLD
    is_same_type = summary.type is None or summary.type[:_TYPE_LETTERS] == operation[:_TYPE_LETTERS]
    is_same_model = summary.model is None or summary.model == model
    is_in_time = created is None or created <= latest + _TOLERANCE
    return CandidateAge.POSSIBLE if is_same_type and is_same_model and is_in_time else CandidateAge.OTHER
