"""Prometheus metrics of a client: `cd examples && python prometheus_metrics.py < urls.txt`.

It creates a voiceprint of each URL that it reads, one a line, and serves the metrics at http://127.0.0.1:9464/metrics.
`PrometheusEvents` is what you copy. With OpenTelemetry, pass `OpenTelemetryEvents()` as `on_event` instead.

Set PYANNOTEAI_API_KEY in the environment; PORT is the port of the metrics.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.events import (
    ClientEvent,
    JobAbandoned,
    JobAccepted,
    JobFinished,
    OperationFinished,
    RateLimited,
    RequestFinished,
)

SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600)


class PrometheusEvents:
    """Makes metrics of the events of a client.

    No label has a value for each job or caller: each combination of labels is a time series that is kept for ever.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"voiceprint_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"voiceprint_{name}_seconds", text, labels, buckets=SECONDS, registry=registry)

        self.submissions = counter("submissions", "Accepted jobs, which are billed unless they fail.", "endpoint")
        self.abandoned = counter("abandoned_jobs", "Accepted jobs whose caller was cancelled or failed.")
        self.rate_limited = counter("rate_limited", "Responses with status 429.", "endpoint")
        self.operations = histogram("operation", "Calls such as voiceprint(), by their error.", "operation", "error")
        self.jobs = histogram("job", "Waits for finished jobs.", "status")
        self.queue = histogram("queue", "Waits of requests for the rate limit.", "endpoint")
        self.requests = histogram("request", "Requests, without that wait.", "endpoint", "status")
        self.permits = Gauge(
            "voiceprint_permits_in_use",
            "Permits of the rate limit in use when the last request ended.",
            ["endpoint"],
            registry=registry,
            multiprocess_mode="livesum",
        )

    def __call__(self, event: ClientEvent) -> None:
        """Count an event."""
        match event:
            case RequestFinished():
                self.queue.labels(event.endpoint).observe(event.queue_seconds)
                self.requests.labels(event.endpoint, event.status or "none").observe(event.request_seconds)
                self.permits.labels(event.endpoint).set(event.permits_in_use)
            case RateLimited():
                self.rate_limited.labels(event.endpoint).inc()
            case JobAccepted():
                self.submissions.labels(event.endpoint).inc()
            case JobFinished():
                self.jobs.labels(event.status).observe(event.seconds)
            case JobAbandoned():
                self.abandoned.inc()
            case OperationFinished():
                self.operations.labels(event.operation, event.error or "none").observe(event.seconds)
            case _:
                pass  # no metric needs the other events


async def read_urls() -> AsyncIterator[str]:
    """Yield the lines of the standard input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield line.strip()


async def main() -> None:
    """Create the voiceprints, and serve the metrics meanwhile."""
    server, _ = start_http_server(int(os.environ.get("PORT", "9464")), addr="127.0.0.1")
    print(f"Metrics: http://127.0.0.1:{server.server_port}/metrics", flush=True)
    client = AsyncVoiceprintClient(on_event=PrometheusEvents())
    async with client, client.voiceprint_many(read_urls()) as results:
        async for result in results:
            print(f"{result.index}: {result.error or 'done'}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
