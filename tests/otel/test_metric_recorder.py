"""The metrics of real operations."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from pyannote_voiceprint_async import JobFailedError, RateLimit, RateLimits
from pyannote_voiceprint_async.events import JobAbandoned, RequestFinished
from pyannote_voiceprint_async.otel import OpenTelemetryEvents
from pyannote_voiceprint_async.otel.metric_recorder import MetricRecorder

URL = "https://example.com/a.wav?signature=not-to-be-shown"
SUBMISSION = ("POST", "/v1/voiceprint")


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader) -> MeterProvider:
    return MeterProvider([reader], shutdown_on_exit=False)


@pytest.fixture
def make_client(start_client, provider) -> Callable[..., Any]:
    """Return a function that starts a client whose metrics are recorded."""
    return partial(start_client, on_event=OpenTelemetryEvents(meter_provider=provider))


def read(reader: InMemoryMetricReader) -> dict[str, Any]:
    """Return the metrics by name, without `pyannoteai.client.`."""
    data = reader.get_metrics_data()
    metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
    return {metric.name.removeprefix("pyannoteai.client."): metric for metric in metrics}


def points(reader: InMemoryMetricReader, name: str) -> dict[tuple[Any, ...], Any]:
    """Return the data points of a metric by the values of their attributes."""
    metric = read(reader).get(name)
    return {} if metric is None else {tuple(point.attributes.values()): point for point in metric.data.data_points}


def values(reader: InMemoryMetricReader, name: str) -> dict[tuple[Any, ...], Any]:
    return {attributes: point.value for attributes, point in points(reader, name).items()}


def counts(reader: InMemoryMetricReader, name: str) -> dict[tuple[Any, ...], int]:
    return {attributes: point.count for attributes, point in points(reader, name).items()}


async def test_submissions_and_outcomes_are_counted(make_client, reader, sandbox):
    client = await make_client()
    sandbox.on_next(job="failed", error="Could not load audio")
    with pytest.raises(JobFailedError):
        await client.voiceprint(URL)
    await client.voiceprint(URL)
    await client.identify(URL, {"June": "dm9pY2U="})
    assert values(reader, "submissions") == {SUBMISSION: 2, ("POST", "/v1/identify"): 1}
    assert counts(reader, "job.duration") == {("failed",): 1, ("succeeded",): 2}
    assert counts(reader, "operation.duration") == {
        ("voiceprint", "JobFailedError"): 1,
        ("voiceprint",): 1,
        ("identify",): 1,
    }


async def test_the_seconds_in_the_queue_are_recorded(make_client, reader, clock):
    client = await make_client(rate_limits=RateLimits(submissions=RateLimit(1, per=30.0)), clock=clock)
    async with clock.running(client):
        await client.submit(URL)
        await client.submit(URL)
    (queue,) = points(reader, "queue.duration").values()
    assert (queue.count, queue.min, queue.max) == (2, 0.0, pytest.approx(30.0, abs=1.0))
    bounds = queue.explicit_bounds
    assert (bounds[0] < 0.1, bounds[-1] > 3600.0) == (True, True)  # seconds, not milliseconds


async def test_429s_are_counted(make_client, reader, sandbox, clock):
    sandbox.fail_next("rate-limited")
    client = await make_client(clock=clock)
    async with clock.running(client):
        await client.submit(URL)
    assert values(reader, "rate_limited") == {SUBMISSION: 1}
    assert values(reader, "submissions") == {SUBMISSION: 1}


async def test_permits_in_use_and_their_limit_are_observed(make_client, reader):
    client = await make_client(rate_limits=RateLimits(submissions=RateLimit(20)))
    await client.submit(URL)
    await client.submit(URL)
    assert values(reader, "permit.usage") == {SUBMISSION: 2}
    assert values(reader, "permit.limit") == {SUBMISSION: 20}


async def test_permits_of_an_idle_client_are_no_longer_observed(provider, reader, monkeypatch):
    recorder = MetricRecorder(provider.get_meter("program"))
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    recorder.record(RequestFinished(1, "submit", "GET /v1/test", 0.0, 0.1, 200, permits_in_use=7, permit_limit=100))
    assert values(reader, "permit.usage") == {("GET", "/v1/test"): 7}
    now = 160.0
    assert values(reader, "permit.usage") == {}
    monkeypatch.undo()


async def test_abandoned_jobs_are_counted(provider, reader):
    recorder = MetricRecorder(provider.get_meter("program"))
    recorder.record(JobAbandoned(1, "submit", "job-1"))
    assert values(reader, "jobs.abandoned") == {(): 1}


async def test_every_metric_has_a_unit_and_a_description(make_client, reader, sandbox):
    client = await make_client()
    await client.voiceprint(URL)
    metrics = read(reader)
    assert {(name, metric.unit) for name, metric in metrics.items()} == {
        ("operation.duration", "s"),
        ("queue.duration", "s"),
        ("job.duration", "s"),
        ("submissions", "{submission}"),
        ("permit.usage", "{permit}"),
        ("permit.limit", "{permit}"),
    }
    assert all(metric.description.endswith(".") for metric in metrics.values())


async def test_no_metric_has_an_attribute_for_each_job(make_client, reader):
    """Each combination of attributes is a time series that the program keeps."""
    client = await make_client()
    await asyncio.gather(*(client.voiceprint(URL) for _ in range(3)))
    assert {name: len(points(reader, name)) for name in ("submissions", "job.duration", "operation.duration")} == {
        "submissions": 1,
        "job.duration": 1,
        "operation.duration": 1,
    }
