"""Log events. `extra` of a log record has the fields of the event, and the name of its class as `event`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import attrs

from .events import (
    ClientEvent,
    JobAbandoned,
    JobAccepted,
    JobFinished,
    JobWaitStarted,
    OperationFinished,
    OperationStarted,
    RateLimited,
    RequestFinished,
    RequestRetried,
    SharedStateLost,
    SharedStateRestored,
    UploadFinished,
    WebhookDelivered,
)

__all__ = ["log_event"]

log = logging.getLogger("pyannote_voiceprint_async")


def log_event(event: ClientEvent) -> None:
    """Log an event, if its level is enabled."""
    level = _level(event)
    if log.isEnabledFor(level):
        fields = attrs.asdict(event)
        text = _TEXTS[type(event)](event)
        log.log(level, text, extra={"event": type(event).__name__, **fields})


def _level(event: ClientEvent) -> int:
    match event:
        case JobAbandoned() | SharedStateLost() | RateLimited(is_long_pause=True):
            return logging.WARNING
        case JobAccepted() | JobFinished() | SharedStateRestored():
            return logging.INFO
    return logging.DEBUG


def _result(error: str | None, status: int | None = None) -> str:
    if error is None:
        return f"status {status}" if status is not None else "succeeded"
    return error if status is None else f"{error}, status {status}"


def _finished_operation(event: OperationFinished) -> str:
    result = _result(event.error)
    return f"Operation {event.operation_id} ({event.operation}): {result} after {event.seconds:.3f} s."


def _finished_request(event: RequestFinished) -> str:
    result = _result(event.error, event.status)
    return (
        f"{event.endpoint}: {result} after {event.request_seconds:.3f} s, and {event.queue_seconds:.3f} s in the queue."
    )


def _retried(event: RequestRetried) -> str:
    result = _result(event.error, event.status)
    return f"{event.endpoint} failed in try {event.tries} ({result}). Retrying in {event.wait_seconds:.1f} s."


_TEXTS: dict[type[ClientEvent], Callable[[Any], str]] = {
    OperationStarted: lambda event: f"Operation {event.operation_id} ({event.operation}) began.",
    OperationFinished: _finished_operation,
    RequestFinished: _finished_request,
    RequestRetried: _retried,
    RateLimited: lambda event: f"The API requests a pause of {event.wait_seconds:.0f} s for {event.endpoint}.",
    UploadFinished: lambda event: f"Upload of {event.size} bytes: {_result(event.error)} after {event.seconds:.3f} s.",
    JobAccepted: lambda event: f"Job {event.job_id} was accepted.",
    JobWaitStarted: lambda event: f"The wait for job {event.job_id} began.",
    JobFinished: lambda event: f"Job {event.job_id} {event.status} after {event.seconds:.1f} s.",
    SharedStateLost: lambda event: (
        f"{event.reason} Until it can be reached again, this process sends its share of each rate limit: the limit "
        "divided by the number of processes that it knows of; if it has not reached the shared state since its start, "
        "as many requests per window as SharedState.reserve (1 by default). Requests with a submission key are refused."
    ),
    SharedStateRestored: lambda _: "The shared state can be reached again. All processes share one rate limit again.",
    JobAbandoned: lambda event: (
        f"Job {event.job_id} was accepted, but its caller was cancelled or failed. Fetch its result by this id."
    ),
    WebhookDelivered: lambda event: f"A webhook reports job {event.job_id} as {event.status}.",
}
