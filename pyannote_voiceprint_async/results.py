"""What the client gives beside the API's own models: one result of many, and its own numbers."""

from typing import TypeAlias

import attrs

from pyannote_voiceprint_async.jobs.uploads import LocalAudio

from .models import JobCreated, Voiceprint, VoiceprintRequest
from .redaction import redact_url
from .reprs import safe_repr

__all__ = ["ClientStats", "Source", "Submission", "VoiceprintResult"]

Source: TypeAlias = "str | VoiceprintRequest | LocalAudio"
"""A URL, a request, or local audio: a path, bytes, an open binary file, or a waveform with its sample rate."""


def _shown(source: object) -> str:
    """Show a URL without its query, a request as it shows itself, and nothing of what is local."""
    if isinstance(source, str):
        return repr(redact_url(source))
    return repr(source) if isinstance(source, VoiceprintRequest) else "<audio>"


@safe_repr
@attrs.frozen
class Submission:
    """What became of one item of `submit_many`."""

    index: int
    """Its place in the input, from 0."""
    request: VoiceprintRequest | str = attrs.field(repr=_shown)
    """What was asked for."""
    job: JobCreated | None = None
    """The job, if it was accepted."""
    error: Exception | None = None
    """Why it was not."""


@safe_repr
@attrs.frozen
class VoiceprintResult:
    """What became of one source of `voiceprint_many`."""

    index: int
    """Its place in the input, from 0."""
    source: Source = attrs.field(repr=_shown)
    """What was given."""
    voiceprint: Voiceprint | None = None
    """The voiceprint, if there is one."""
    error: Exception | None = None
    """Why there is none; a `job_id` in it means that a job was accepted."""


@safe_repr
@attrs.frozen
class ClientStats:
    """What the client is doing, and has done."""

    in_flight: int
    """Requests on the wire, of all clients that share the throttle."""
    queued: int
    """Requests that wait for a place in a rate limit, or for a slot."""
    requests: int
    """Requests made, repeated ones included."""
    retries: int
    """Requests that were repeats."""
    rate_limited: int
    """Answers that were 429."""
