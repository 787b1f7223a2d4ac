"""Spans, made from events."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import Token

import attrs
from opentelemetry.context import Context, attach, create_key, detach, get_value, set_value
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, Tracer, set_span_in_context

from pyannote_voiceprint_async.events import (
    ClientEvent,
    JobAccepted,
    JobFinished,
    JobWaitStarted,
    OperationFinished,
    OperationStarted,
    RequestFinished,
    UploadFinished,
    WebhookDelivered,
)

from .attributes import ERROR_TYPE, JOB_ID, JOB_STATUS, OPERATION, endpoint_attributes

__all__ = ["SpanRecorder"]

# The most jobs whose spans are known to webhooks: those of 100 minutes at the documented rate limit.
_MAX_JOBS = 10_000
_NANOSECONDS = 1_000_000_000


@attrs.define
class OperationSpan:
    """The span of a running operation. Only the context of the operation holds it."""

    operation_id: int
    span: Span
    wait_started_at: int | None = None
    """When the wait for the job began, in nanoseconds; None when there is no wait."""
    token: Token[Context] | None = None
    """Restores the context of the caller."""


class SpanRecorder:
    """Records the spans of one or more clients.

    Args:
        tracer: makes the spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._key = create_key("pyannote-voiceprint-operation")
        # The operation that submitted the job, or that awaits it.
        self._jobs: OrderedDict[str, SpanContext] = OrderedDict()

    def record(self, event: ClientEvent) -> None:
        """Record an event, in the context of its operation."""
        match event:
            case OperationStarted():
                self._start(event)
            case WebhookDelivered():
                self._record_webhook(event)
            case _:
                running = get_value(self._key)
                # A coroutine that is closed by the garbage collector ends in the context of another operation.
                if isinstance(running, OperationSpan) and running.operation_id == event.operation_id:
                    self._record_in(running, event)

    def _start(self, event: OperationStarted) -> None:
        attributes = {OPERATION: event.operation}
        span = self._tracer.start_span(f"pyannoteai {event.operation}", kind=SpanKind.CLIENT, attributes=attributes)
        running = OperationSpan(event.operation_id, span)
        running.token = attach(set_value(self._key, running, set_span_in_context(span)))

    def _record_webhook(self, event: WebhookDelivered) -> None:
        operation = self._jobs.get(event.job_id)
        self._tracer.start_span(
            "pyannoteai webhook",
            kind=SpanKind.CONSUMER,
            links=[] if operation is None else [Link(operation)],
            attributes={JOB_ID: event.job_id, JOB_STATUS: event.status},
        ).end()

    def _record_in(self, running: OperationSpan, event: ClientEvent) -> None:
        now = time.time_ns()
        match event:
            case RequestFinished():
                self._record_request(running, event, now)
            case UploadFinished():
                attributes = {"http.request.body.size": event.size}
                self._record_part(running, "upload", now - _to_ns(event.seconds), now, attributes, event.error)
            case JobAccepted():
                self._remember(running, event.job_id)
            case JobWaitStarted():
                running.wait_started_at = now
                self._remember(running, event.job_id)
            case JobFinished():
                self._end_wait(running, now, {JOB_ID: event.job_id, JOB_STATUS: event.status})
            case OperationFinished():
                self._finish(running, event, now)

    def _record_request(self, running: OperationSpan, event: RequestFinished, now: int) -> None:
        began_at = now - _to_ns(event.request_seconds)
        attributes: dict[str, str | int] = {**endpoint_attributes(event.endpoint)}
        if event.queue_seconds:
            self._record_part(running, "queue", began_at - _to_ns(event.queue_seconds), began_at, attributes)
        if event.status is not None:
            attributes["http.response.status_code"] = event.status
        if event.job_id is not None:
            attributes[JOB_ID] = event.job_id
        self._record_part(running, event.endpoint, began_at, now, attributes, event.error)

    def _end_wait(
        self, running: OperationSpan, now: int, attributes: Mapping[str, str | int], error: str | None = None
    ) -> None:
        if running.wait_started_at is not None:
            self._record_part(running, "wait", running.wait_started_at, now, attributes, error)
            running.wait_started_at = None

    def _finish(self, running: OperationSpan, event: OperationFinished, now: int) -> None:
        self._end_wait(running, now, {}, event.error)
        _record_error(running.span, event.error)
        running.span.end(now)
        if running.token is not None:
            detach(running.token)

    def _record_part(  # noqa: PLR0913, PLR0917 - the fields of a span
        self,
        running: OperationSpan,
        name: str,
        began_at: int,
        ended_at: int,
        attributes: Mapping[str, str | int],
        error: str | None = None,
    ) -> None:
        parent = set_span_in_context(running.span)
        part = self._tracer.start_span(name, parent, attributes=attributes, start_time=began_at)
        _record_error(part, error)
        part.end(ended_at)

    def _remember(self, running: OperationSpan, job_id: str) -> None:
        """Remember the operation of a job, for its webhook, and show the job in the span."""
        if running.span.is_recording():
            running.span.set_attribute(JOB_ID, job_id)
            self._jobs[job_id] = running.span.get_span_context()
            self._jobs.move_to_end(job_id)
            if len(self._jobs) > _MAX_JOBS:
                self._jobs.popitem(last=False)


def _to_ns(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)


def _record_error(span: Span, error: str | None) -> None:
    """Mark a span as failed, by the class of the error: its message may quote the server."""
    if error is not None:
        span.set_attribute(ERROR_TYPE, error)
        span.set_status(StatusCode.ERROR)
