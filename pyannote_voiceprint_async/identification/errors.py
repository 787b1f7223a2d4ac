"""The error of `identify_among` if jobs were accepted and not all of them have a result."""

from __future__ import annotations

from collections.abc import Sequence

from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.identification_result.identification import Identification

__all__ = ["PartialIdentificationError"]


class PartialIdentificationError(VoiceprintError):
    """Some jobs of `identify_among` have no result, although jobs were accepted, which are billed.

    Args:
        sentence: what happened, what it means, what to do next.
        identification: the results so far, merged; None if no job has one.
        job_ids: the ids of all jobs that are known to be accepted, with and without a result.
        errors: the errors of the jobs without a result.
        details: as for every error of this package.
    """

    def __init__(
        self,
        sentence: str = "",
        *,
        identification: Identification | None = None,
        job_ids: Sequence[str] = (),
        errors: Sequence[Exception] = (),
        **details: object,
    ) -> None:
        super().__init__(sentence, **details)  # type: ignore[arg-type]  # the base class checks them
        self.identification = identification
        self.job_ids = tuple(job_ids)
        self.errors = tuple(errors)
