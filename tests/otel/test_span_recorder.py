"""The spans of real operations."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cancelled_calls import cancel_after_acceptance
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from pyannote_voiceprint_async import (
    JobFailedError,
    JobStatus,
    JobTimeoutError,
    Polling,
    QueueTooLongError,
    RateLimit,
    RateLimits,
    RetryPolicy,
    WebhookEvent,
    aiohttp_webhook_handler,
)
from pyannote_voiceprint_async.events import OperationFinished, OperationStarted
from pyannote_voiceprint_async.otel import OpenTelemetryEvents, span_recorder
from pyannote_voiceprint_async.otel.span_recorder import SpanRecorder
from pyannote_voiceprint_async.sandbox import Sandbox

URL = "https://example.com/a.wav?signature=not-to-be-shown"
SUBMISSION = "POST /v1/voiceprint"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def tracer(provider):
    """The tracer of the program."""
    return provider.get_tracer("program")


@pytest.fixture
def make_client(start_client, provider) -> Callable[..., Any]:
    """Return a function that starts a client whose spans are exported."""
    return partial(start_client, on_event=OpenTelemetryEvents(tracer_provider=provider))


def children(exporter: InMemorySpanExporter, parent: ReadableSpan) -> list[ReadableSpan]:
    """Return the finished children of a span, in the order in which they began."""
    spans = (span for span in exporter.get_finished_spans() if span.parent == parent.get_span_context())
    return sorted(spans, key=lambda span: span.start_time)


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = (span for span in exporter.get_finished_spans() if span.name == name)
    return span


def names(spans: list[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


async def test_a_voiceprint_of_local_audio_is_one_span_with_its_parts(make_client, exporter, tracer, speech):
    client = await make_client()
    with tracer.start_as_current_span("program") as caller:
        voiceprint = await client.voiceprint(speech / "june-fr.wav")
        assert get_current_span() is caller
    (operation,) = children(exporter, caller)
    assert (operation.name, operation.kind) == ("pyannoteai voiceprint", SpanKind.CLIENT)
    assert operation.status.status_code is StatusCode.UNSET
    assert dict(operation.attributes) == {
        "pyannoteai.operation": "voiceprint",
        "pyannoteai.job.id": voiceprint.job_id,
    }
    parts = children(exporter, operation)
    assert sorted(names(parts)) == ["POST /v1/media/input", SUBMISSION, "upload", "wait"]
    assert {span.kind for span in parts} == {SpanKind.INTERNAL}
    assert all(operation.start_time <= part.start_time <= part.end_time <= operation.end_time for part in parts)
    request, wait = named(exporter, SUBMISSION), named(exporter, "wait")
    assert request.end_time <= wait.start_time
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "url.template": "/v1/voiceprint",
        "http.response.status_code": 200,
        "pyannoteai.job.id": voiceprint.job_id,
    }
    assert dict(wait.attributes) == {"pyannoteai.job.id": voiceprint.job_id, "pyannoteai.job.status": "succeeded"}
    size = (speech / "june-fr.wav").stat().st_size
    assert dict(named(exporter, "upload").attributes) == {"http.request.body.size": size}


async def test_the_wait_in_the_queue_is_a_part(make_client, exporter, clock):
    client = await make_client(rate_limits=RateLimits(submissions=RateLimit(1, per=30.0)), clock=clock)
    async with clock.running(client):
        await client.submit(URL)
        await client.submit(URL)
    first, second = (span for span in exporter.get_finished_spans() if span.name == "pyannoteai submit")
    assert names(children(exporter, first)) == [SUBMISSION]
    queue, request = children(exporter, second)
    assert (queue.name, request.name, queue.end_time) == ("queue", SUBMISSION, request.start_time)
    assert queue.end_time - queue.start_time == pytest.approx(30e9, abs=1e9)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda client, _: client.identify(URL, {"June": "dm9pY2U="}), "identify"),
        (lambda client, _: client.submit_identification(URL, {"June": "dm9pY2U="}), "submit_identification"),
        (lambda client, _: client.check_key(), "check_key"),
        (lambda client, _: anext(client.list_jobs(), None), "list_jobs"),
        (lambda client, speech: client.upload(speech / "june-fr.wav"), "upload"),
    ],
)
async def test_each_operation_is_a_span(make_client, exporter, speech, call, name):
    await call(await make_client(), speech)
    assert named(exporter, f"pyannoteai {name}").parent is None


async def test_each_item_of_a_batch_is_a_span_below_the_caller(make_client, exporter, tracer):
    client = await make_client()
    with tracer.start_as_current_span("program") as caller:
        async with client.voiceprint_many([URL] * 3) as results:
            assert len([result async for result in results]) == 3
    assert names(children(exporter, caller)) == ["pyannoteai voiceprint"] * 3


async def test_errors_are_recorded_by_class(make_client, exporter, sandbox):
    sandbox.on_next(job="failed", error="Could not load https://example.com/audio?signature=not-to-be-shown")
    client = await make_client()
    with pytest.raises(JobFailedError):
        await client.voiceprint(URL)
    operation = named(exporter, "pyannoteai voiceprint")
    assert (operation.status.status_code, operation.status.description) == (StatusCode.ERROR, None)
    assert operation.attributes["error.type"] == "JobFailedError"
    assert operation.events == ()
    assert named(exporter, "wait").attributes["pyannoteai.job.status"] == "failed"


async def test_each_try_of_a_request_is_a_part(make_client, exporter, sandbox, clock):
    sandbox.fail_next("unavailable")
    client = await make_client(clock=clock, retry=RetryPolicy(base=1.0))
    async with clock.running(client):
        await client.submit(URL)
    tries = [span for span in children(exporter, named(exporter, "pyannoteai submit")) if span.name == SUBMISSION]
    assert [span.attributes["http.response.status_code"] for span in tries] == [503, 200]
    assert [span.attributes.get("error.type") for span in tries] == ["ServerError", None]
    assert [span.status.status_code for span in tries] == [StatusCode.ERROR, StatusCode.UNSET]


async def test_a_request_that_was_not_sent_has_no_part(make_client, exporter):
    client = await make_client(rate_limits=RateLimits(submissions=RateLimit(1, per=1000.0)))
    await client.submit(URL)
    exporter.clear()
    with pytest.raises(QueueTooLongError):
        await client.submit(URL, max_queue_wait=1.0)
    (operation,) = exporter.get_finished_spans()
    assert operation.attributes["error.type"] == "QueueTooLongError"


async def test_a_wait_that_ends_without_its_job_is_a_part_with_the_error(make_client, exporter, sandbox):
    sandbox.on_next(seconds=1000.0)
    client = await make_client()
    job = await client.submit(URL)
    with pytest.raises(JobTimeoutError):
        await client.wait(job, timeout=0.001)
    wait = named(exporter, "wait")
    assert wait.attributes["error.type"] == "JobTimeoutError"
    assert wait.parent == named(exporter, "pyannoteai wait").get_span_context()


async def test_a_submission_that_outlives_its_caller_is_still_a_part(make_client, exporter, start):
    sandbox = await start(Sandbox(latency=0.05))
    client = await make_client(base_url=sandbox.url)
    await cancel_after_acceptance(client.submit(URL), sandbox)
    await client.aclose()
    operation = named(exporter, "pyannoteai submit")
    assert operation.attributes["error.type"] == "CancelledError"
    (request,) = children(exporter, operation)
    assert request.attributes["pyannoteai.job.id"] == client.abandoned[0].job_id


# Webhooks


async def test_a_webhook_is_linked_with_the_operation_that_submitted_its_job(make_client, exporter, tracer):
    client = await make_client()
    job = await client.submit(URL)
    with tracer.start_as_current_span("request of the API") as request:
        client.deliver(WebhookEvent(job.job_id, JobStatus.SUCCEEDED))
    (webhook,) = children(exporter, request)
    assert (webhook.name, webhook.kind) == ("pyannoteai webhook", SpanKind.CONSUMER)
    assert dict(webhook.attributes) == {"pyannoteai.job.id": job.job_id, "pyannoteai.job.status": "succeeded"}
    assert [link.context for link in webhook.links] == [named(exporter, "pyannoteai submit").get_span_context()]


async def test_a_webhook_is_linked_with_the_operation_that_awaits_its_job(make_client, exporter):
    client = await make_client(polling=Polling(first=1000.0, longest=1000.0))
    job = await client.submit(URL)
    waiting = asyncio.create_task(client.wait(job))
    await asyncio.sleep(0)
    client.deliver(WebhookEvent(job.job_id, JobStatus.SUCCEEDED))
    await waiting
    links = named(exporter, "pyannoteai webhook").links
    assert [link.context for link in links] == [named(exporter, "pyannoteai wait").get_span_context()]


async def test_a_webhook_of_an_unknown_job_has_no_link(make_client, exporter):
    client = await make_client()
    client.deliver(WebhookEvent("another", JobStatus.FAILED))
    assert named(exporter, "pyannoteai webhook").links == ()


async def test_the_webhook_that_ends_a_wait_is_linked_with_its_operation(make_client, exporter, sandbox, tracer):
    """A real delivery, which the service receives in a trace of its own."""
    app = web.Application()

    async def receive(request: web.Request) -> web.StreamResponse:
        with tracer.start_as_current_span("POST /hook"):
            return await aiohttp_webhook_handler(client.deliver, sandbox.webhook_secret)(request)

    app.router.add_post("/hook", receive)
    async with TestServer(app) as service:
        client = await make_client(webhook=str(service.make_url("/hook")), polling=Polling(webhook_grace=1000.0))
        await client.voiceprint(URL)
    webhook, operation = named(exporter, "pyannoteai webhook"), named(exporter, "pyannoteai voiceprint")
    assert webhook.parent == named(exporter, "POST /hook").get_span_context()
    assert webhook.context.trace_id != operation.context.trace_id
    assert [link.context for link in webhook.links] == [operation.get_span_context()]


# Context


async def test_the_span_of_the_operation_is_current_in_the_callbacks_of_the_caller(make_client, exporter, tracer):
    client = await make_client()

    async def save(_: object) -> None:
        tracer.start_span("save the job").end()

    await client.voiceprint(URL, on_submitted=save)
    assert named(exporter, "save the job").parent == named(exporter, "pyannoteai voiceprint").get_span_context()


async def test_spans_of_an_instrumented_aiohttp_are_children_of_the_operation(make_client, exporter, provider, speech):
    """Polls serve all callers, so they are traces of their own."""
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    try:
        client = await make_client()
        await client.voiceprint(speech / "june-fr.wav")
        await client.aclose()
    finally:
        AioHttpClientInstrumentor().uninstrument()
    operation = named(exporter, "pyannoteai voiceprint")
    parts = [span for span in children(exporter, operation) if span.kind is SpanKind.CLIENT]
    assert names(parts) == ["POST", "PUT", "POST"]
    polls = [span for span in exporter.get_finished_spans() if span.name == "GET"]
    assert polls
    assert {span.parent for span in polls} == {None}


async def test_one_hook_serves_clients_whose_operations_are_nested(make_client, exporter, provider):
    hook = OpenTelemetryEvents(tracer_provider=provider)
    outer, inner = await make_client(on_event=hook), await make_client(on_event=hook)
    await outer.voiceprint(URL, on_submitted=lambda _: inner.check_key())
    parts = children(exporter, named(exporter, "pyannoteai voiceprint"))
    assert names(parts) == [SUBMISSION, "pyannoteai check_key", "wait"]
    assert names(children(exporter, parts[1])) == ["GET /v1/test"]


async def test_an_operation_that_ends_in_another_context_changes_no_other_span(exporter, tracer):
    """The garbage collector closes a coroutine wherever it runs."""
    recorder = SpanRecorder(tracer)
    recorder.record(OperationStarted(1, "submit"))
    recorder.record(OperationFinished(2, "submit", 1.0))
    assert exporter.get_finished_spans() == ()
    recorder.record(OperationFinished(1, "submit", 1.0))
    assert names(exporter.get_finished_spans()) == ["pyannoteai submit"]


# Bounds


async def test_the_jobs_that_webhooks_may_name_are_bounded(make_client, exporter, monkeypatch):
    monkeypatch.setattr(span_recorder, "_MAX_JOBS", 2)
    client = await make_client()
    jobs = [await client.submit(URL) for _ in range(3)]
    for job in jobs:
        client.deliver(WebhookEvent(job.job_id, JobStatus.SUCCEEDED))
    links = [len(span.links) for span in exporter.get_finished_spans() if span.name == "pyannoteai webhook"]
    assert links == [0, 1, 1]


async def test_no_job_is_kept_for_spans_that_are_not_recorded(make_client):
    unrecorded = SpanRecorder(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("program"))
    client = await make_client(on_event=unrecorded.record)
    await client.voiceprint(URL)
    assert unrecorded._jobs == {}


async def test_nothing_is_kept_of_operations_that_never_end(tracer):
    """The context of the task holds the span, and ends with the task."""
    recorder = SpanRecorder(tracer)

    async def begin() -> weakref.ref[Any]:
        recorder.record(OperationStarted(1, "submit"))
        return weakref.ref(get_current_span())

    span = await asyncio.create_task(begin())
    await asyncio.sleep(0)  # the event loop drops the task
    gc.collect()
    assert span() is None


async def test_no_span_has_a_secret(make_client, exporter, sandbox, speech):
    client = await make_client()
    await client.voiceprint(URL)
    await client.voiceprint(speech / "june-fr.wav")
    text = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert not any(secret in text for secret in ("not-to-be-shown", sandbox.api_key, "june", "example.com"))
