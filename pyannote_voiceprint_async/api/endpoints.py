"""The operations of the API as one table. To add an operation, add a row here and its model to `models.py`."""

from typing import Any, Generic, NamedTuple, TypeVar

from pyannote_voiceprint_async.models import Job, JobCreated, JobPage, JobStatusPage, KeyStatus, MediaUpload

__all__ = [
    "DEFAULT_BASE_URL",
    "DEFAULT_LIMITS",
    "ENDPOINTS",
    "GET_JOB",
    "IDENTIFY",
    "LIST_JOBS",
    "MAX_IDENTIFICATION_BYTES",
    "MAX_IDENTIFICATION_SECONDS",
    "MAX_OUTPUT_BYTES",
    "MAX_PAGE_SIZE",
    "MAX_VOICEPRINT_BYTES",
    "MAX_VOICEPRINT_SECONDS",
    "MEDIA_INPUT",
    "OUTPUT_LIFETIME",
    "POLL_JOBS",
    "TEST_KEY",
    "VOICEPRINT",
    "Endpoint",
]

M = TypeVar("M")


class Endpoint(NamedTuple, Generic[M]):
    """One operation of the API."""

    method: str
    """The HTTP method."""
    path: str
    """The path below the base URL, with `{job_id}` as a placeholder."""
    rate_limit: str
    """The field of `RateLimits` that bounds the operation."""
    repeatable: bool
    """Whether sending the request twice does no harm. Each submission is billed, and there is no idempotency key."""
    model: type[M]
    """The model of a 2xx response."""
    max_response_bytes: int = 1024 * 1024
    """The limit of a response body after decompression; every real response is smaller."""

    @property
    def name(self) -> str:
        """The operation as messages name it, such as `GET /v1/jobs/…`."""
        return f"{self.method} {self.path.replace('{job_id}', '…')}"


MAX_IDENTIFICATION_SECONDS = 24 * 3600.0
"""Seconds of the audio for an identification, at most (docs.pyannote.ai)."""

# What the longest output can need. A conversation has a turn every second or two; many speakers at once have more.
_MOST_TURNS = int(MAX_IDENTIFICATION_SECONDS) * 2
# A turn of `identification` has at most 100 bytes beside its names; a label of 100 characters occurs in it twice. Turns
# of `diarization` and of `exclusiveDiarization` have at most 100 bytes each. With `turn_level_confidence`, a few scores
# of 20 bytes are added.
_TURN_BYTES = (100 + 2 * 100) + 100 + 100 + 5 * 20
# `confidence` has 50 frames a second, each a score of 0 to 100 and a comma.
_FRAME_BYTES = int(MAX_IDENTIFICATION_SECONDS) * 50 * 4
# `voiceprints` has a score of each of 50 labels for each diarized speaker; a long recording may have 50 of them.
_SCORE_BYTES = 50 * 50 * 130
MAX_OUTPUT_BYTES = _MOST_TURNS * _TURN_BYTES + _FRAME_BYTES + _SCORE_BYTES
"""The limit of a job with its output, 116 MiB: what the identification of 24 hours can need.

A typical one of 24 hours has 100,000 turns and 30 MB.
"""

# fmt: off
#                      method  path                 rate_limit     repeatable  model
TEST_KEY    = Endpoint("GET",  "/v1/test",          "key_test",    True,       KeyStatus)
MEDIA_INPUT = Endpoint("POST", "/v1/media/input",   "media",       True,       MediaUpload)
VOICEPRINT  = Endpoint("POST", "/v1/voiceprint",    "submissions", False,      JobCreated)
IDENTIFY    = Endpoint("POST", "/v1/identify",      "identify",    False,      JobCreated)
GET_JOB     = Endpoint("GET",  "/v1/jobs/{job_id}", "job_reads",   True,       Job, MAX_OUTPUT_BYTES)
LIST_JOBS   = Endpoint("GET",  "/v2/jobs",          "job_lists",   True,       JobPage)
# The same page, without the fields that a poll does not need.
POLL_JOBS   = Endpoint("GET",  "/v2/jobs",          "job_lists",   True,       JobStatusPage)

ENDPOINTS: dict[str, Endpoint[Any]] = {
    endpoint.rate_limit: endpoint for endpoint in (TEST_KEY, MEDIA_INPUT, VOICEPRINT, IDENTIFY, GET_JOB, LIST_JOBS)
}

# Requests in 60 seconds for a team without Enterprise, by the field of `RateLimits`.
DEFAULT_LIMITS = {
    "submissions": 100,
    "identify":    100,
    "media":       100,
    "job_reads":   300,
    "job_lists":   300,
    "key_test":    100,
}
# fmt: on

DEFAULT_BASE_URL = "https://api.pyannote.ai"
"""Where the API is."""
MAX_PAGE_SIZE = 100
"""Jobs in one page of `GET /v2/jobs`, at most."""
OUTPUT_LIFETIME = 24 * 3600.0
"""Seconds after the end of a job at which the API deletes its output."""
MAX_VOICEPRINT_BYTES = 100 * 1024 * 1024
"""Bytes of the audio for a voiceprint, at most (docs.pyannote.ai)."""
MAX_IDENTIFICATION_BYTES = 1024 * 1024 * 1024
"""Bytes of the audio for an identification, at most (docs.pyannote.ai)."""
MAX_VOICEPRINT_SECONDS = 30.0
"""Seconds of the audio for a voiceprint, at most; one speaker (docs.pyannote.ai)."""
