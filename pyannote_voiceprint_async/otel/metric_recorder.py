"""Metrics, made from events."""

from __future__ import annotations

import time
from collections.abc import Iterator

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from pyannote_voiceprint_async.events import (
    ClientEvent,
    JobAbandoned,
    JobAccepted,
    JobFinished,
    OperationFinished,
    RateLimited,
    RequestFinished,
)

from .attributes import ERROR_TYPE, JOB_STATUS, OPERATION, endpoint_attributes

__all__ = ["MetricRecorder"]

# Seconds. The default boundaries of OpenTelemetry are for milliseconds. A job may take hours, a permit a minute.
_BOUNDARIES = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 14400]
# Permits return after a minute. Later, the number at the last request shows nothing any more.
_PERMIT_LIFETIME = 60.0


class MetricRecorder:
    """Records the metrics of one or more clients.

    Args:
        meter: makes the instruments.
    """

    def __init__(self, meter: Meter) -> None:
        self._operations = _histogram(meter, "operation.duration", "The duration of an operation of the client.")
        self._jobs = _histogram(meter, "job.duration", "The wait for a job that has finished.")
        self._queue = _histogram(meter, "queue.duration", "The wait of a request for a permit and a slot.")
        self._submissions = meter.create_counter(
            "pyannoteai.client.submissions", "{submission}", "Accepted jobs. They are billed unless they fail."
        )
        self._abandoned = meter.create_counter(
            "pyannoteai.client.jobs.abandoned", "{job}", "Accepted jobs whose caller was cancelled or failed."
        )
        self._rate_limited = meter.create_counter(
            "pyannoteai.client.rate_limited", "{response}", "Responses with status 429."
        )
        # By endpoint: the time of the last request, its permits in use, and its limit.
        self._permits: dict[str, tuple[float, int, int]] = {}
        meter.create_observable_up_down_counter(
            "pyannoteai.client.permit.usage", [self._observe_usage], "{permit}", "Permits in use at the last request."
        )
        meter.create_observable_up_down_counter(
            "pyannoteai.client.permit.limit", [self._observe_limit], "{permit}", "The rate limit at the last request."
        )

    def record(self, event: ClientEvent) -> None:
        """Record an event."""
        match event:
            case OperationFinished():
                error = {} if event.error is None else {ERROR_TYPE: event.error}
                self._operations.record(event.seconds, {OPERATION: event.operation, **error})
            case RequestFinished():
                self._permits[event.endpoint] = (time.monotonic(), event.permits_in_use, event.permit_limit)
                self._queue.record(event.queue_seconds, endpoint_attributes(event.endpoint))
            case RateLimited():
                self._rate_limited.add(1, endpoint_attributes(event.endpoint))
            case JobAccepted():
                self._submissions.add(1, endpoint_attributes(event.endpoint))
            case JobFinished():
                self._jobs.record(event.seconds, {JOB_STATUS: event.status})
            case JobAbandoned():
                self._abandoned.add(1)

    def _observe_usage(self, _: CallbackOptions) -> Iterator[Observation]:
        return (Observation(usage, endpoint_attributes(endpoint)) for endpoint, usage, _ in self._recent_permits())

    def _observe_limit(self, _: CallbackOptions) -> Iterator[Observation]:
        return (Observation(limit, endpoint_attributes(endpoint)) for endpoint, _, limit in self._recent_permits())

    def _recent_permits(self) -> list[tuple[str, int, int]]:
        """Return endpoint, permits in use and limit of recent requests. The thread of a metric reader calls this."""
        now = time.monotonic()
        return [
            (endpoint, usage, limit)
            for endpoint, (at, usage, limit) in self._permits.copy().items()
            if now - at < _PERMIT_LIFETIME
        ]


def _histogram(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        f"pyannoteai.client.{name}", "s", description, explicit_bucket_boundaries_advisory=_BOUNDARIES
    )
