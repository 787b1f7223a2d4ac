"""The results of batches: one class for each kind of item."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from pyannote_voiceprint_async.jobs.local_audio import LocalAudio

from .models import JobCreated, Voiceprint, VoiceprintRequest
from .redaction import redact_url
from .reprs import safe_repr

if TYPE_CHECKING:
    from .identification_result.identification import Identification

__all__ = ["IdentificationResult", "RecordingSource", "Source", "Submission", "VoiceprintResult"]

Source: TypeAlias = "str | VoiceprintRequest | LocalAudio"
"""A URL, a request, or local audio: a path, bytes, an open binary file, or a waveform with its sample rate."""

RecordingSource: TypeAlias = "str | LocalAudio"
"""A URL, or local audio, for an identification."""


def _repr_source(source: object) -> str:
    """Return a URL without its query, the repr of a request, and nothing of local audio."""
    if isinstance(source, str):
        return repr(redact_url(source))
    return repr(source) if isinstance(source, VoiceprintRequest) else "<audio>"


@safe_repr
@attrs.frozen
class Submission:
    """The result of one item of `submit_many`."""

    index: int
    """The position in the input, from 0."""
    request: VoiceprintRequest | str = attrs.field(repr=_repr_source)
    """The item: a URL or a request."""
    job: JobCreated | None = None
    """The job, if it was accepted."""
    error: Exception | None = None
    """The error, if the job was not accepted."""


@safe_repr
@attrs.frozen
class VoiceprintResult:
    """The result of one source of `voiceprint_many`."""

    index: int
    """The position in the input, from 0."""
    source: Source = attrs.field(repr=_repr_source)
    """The source, as it was passed."""
    voiceprint: Voiceprint | None = None
    """The voiceprint, if there is one."""
    error: Exception | None = None
    """The error, if there is no voiceprint. An error with a `job_id` means that a job was accepted."""


@safe_repr
@attrs.frozen
class IdentificationResult:
    """The result of one source of `identify_many`."""

    index: int
    """The position in the input, from 0."""
    source: RecordingSource = attrs.field(repr=_repr_source)
    """The source, as it was passed."""
    identification: Identification | None = None
    """The identification, if there is one."""
    error: Exception | None = None
    """The error, if there is no identification. An error with a `job_id` means that a job was accepted."""
