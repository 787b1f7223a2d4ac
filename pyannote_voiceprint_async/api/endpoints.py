"""The API as one table. To add an operation, add a row (and its answer to `models.py`)."""

from typing import Generic, NamedTuple, TypeVar

from pyannote_voiceprint_async.models import JobCreated, JobPage, KeyStatus, MediaUpload, VoiceprintJob

__all__ = [
    "DEFAULT_BASE_URL",
    "DEFAULT_LIMITS",
    "GET_JOB",
    "LIST_JOBS",
    "MAX_PAGE_SIZE",
    "MAX_VOICEPRINT_BYTES",
    "MAX_VOICEPRINT_SECONDS",
    "MEDIA_INPUT",
    "OUTPUT_LIFETIME",
    "TEST_KEY",
    "VOICEPRINT",
    "Endpoint",
]

DEFAULT_BASE_URL = "https://api.pyannote.ai"

A = TypeVar("A")


class Endpoint(NamedTuple, Generic[A]):
    """One operation of the API."""

    method: str
    path: str
    """Below the base URL; `{job_id}` is filled in."""
    rate_limit: str
    """The field of `RateLimits` that it draws on."""
    repeatable: bool
    """Whether sending it twice does no harm. A submission is a bill, and has no idempotency key."""
    model: type[A]
    """What a 2xx is read into."""
    max_response_bytes: int = 1024 * 1024
    """Bytes, after decompression; more is no answer of this API."""


# fmt: off
#                     method  path                 budget         repeatable  answer
TEST_KEY    = Endpoint("GET",  "/v1/test",          "key_test",    True,       KeyStatus)
MEDIA_INPUT = Endpoint("POST", "/v1/media/input",   "media",       True,       MediaUpload)
VOICEPRINT  = Endpoint("POST", "/v1/voiceprint",    "submissions", False,      JobCreated)
GET_JOB     = Endpoint("GET",  "/v1/jobs/{job_id}", "job_reads",   True,       VoiceprintJob)
LIST_JOBS   = Endpoint("GET",  "/v2/jobs",          "job_lists",   True,       JobPage)
# fmt: on

MAX_PAGE_SIZE = 100
"""Jobs in one page of `GET /v2/jobs`, at most."""
OUTPUT_LIFETIME = 24 * 3600.0
"""Seconds after completion at which the output of a job is deleted."""
MAX_VOICEPRINT_BYTES = 100 * 1024 * 1024
"""Bytes that the audio of a voiceprint may have."""

MAX_VOICEPRINT_SECONDS = 30.0
"""Seconds that it may last (docs.pyannote.ai: one speaker, at most 30 seconds, at most 100 MiB)."""

# Requests in 60 seconds for a team without Enterprise, by the field of `RateLimits`.
DEFAULT_LIMITS = {
    "submissions": 100,
    "identify": 100,
    "media": 100,
    "job_reads": 300,
    "job_lists": 300,
    "key_test": 100,
}
