"""The outcome of a request: whether the server acted on it, and whether it may be sent again."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypedDict

from . import rate_limit_headers

__all__ = ["ErrorFlags", "RequestOutcome", "error_flags", "next_step", "outcome_of_status"]


class RequestOutcome(Enum):
    """What happened to a request."""

    NEVER_SENT = "no byte of the request left this machine"
    RETRY_LATER = "the server refused the request for now"
    UNKNOWN = "the server may have acted on the request"
    REFUSED = "the server refused the request for good"


class ErrorFlags(TypedDict):
    """The two flags of every error."""

    retryable: bool
    outcome_unknown: bool


def error_flags(outcome: RequestOutcome, *, repeatable: bool) -> ErrorFlags:
    """Return the flags of an error. docs/explanation/money.md shows them as a table."""
    unknown = outcome is RequestOutcome.UNKNOWN
    return {
        "retryable": outcome in {RequestOutcome.NEVER_SENT, RequestOutcome.RETRY_LATER} or (unknown and repeatable),
        "outcome_unknown": unknown and not repeatable,
    }


def next_step(outcome: RequestOutcome, *, repeatable: bool) -> str:
    """Return the sentence of an error that says what the caller can do next."""
    if outcome is RequestOutcome.NEVER_SENT:
        return "Nothing was sent; the call can be repeated."
    if repeatable:
        return "The call can be repeated without harm."
    return (
        "It is unknown whether the job was accepted. The request was not sent again, because it might be billed twice: "
        "check the jobs of that time (list_jobs(), or `pyannote-voiceprint jobs`) before you repeat it."
    )


def outcome_of_status(status: int, headers: Mapping[str, str]) -> RequestOutcome:
    """Return the outcome of a request from the status of its response. An invalid status (999) leaves it unknown."""
    match status:
        case 429:
            return RequestOutcome.RETRY_LATER
        case 503 if rate_limit_headers.has_retry_after(headers):
            return RequestOutcome.RETRY_LATER
        case 408:
            return RequestOutcome.UNKNOWN
        case _ if 300 <= status <= 499:  # noqa: PLR2004 - redirects and refusals of RFC 9110
            return RequestOutcome.REFUSED
        case _:
            return RequestOutcome.UNKNOWN
