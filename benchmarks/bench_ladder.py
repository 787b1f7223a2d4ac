"""Which module uses how much CPU time of a submission, at 64 requests in flight.

A timer of the operating system interrupts the client after each millisecond of CPU time, and the Python function that
runs then is recorded. So each sample stands for the same time, in Python, in C or in the kernel. Python handles the
timer only when a function begins or a loop repeats, so some time of a function is counted for its neighbour: compare
sums rather than single lines.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import fast_server
import harness

import pyannote_voiceprint_async
from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits

CONCURRENCY = 64
SECONDS = {False: 12.0, True: 60.0}
"""Seconds of sampling, by whether the measurement is a full one."""
PERIOD = 0.001

PACKAGE = Path(pyannote_voiceprint_async.__file__).parent

# The names of the table are paths below the package.
MODULES = {
    "client.py": "the method and its request",
    "arguments.py": "the request of the arguments",
    "engine.py": "the steps of a submission",
    "event_emitter.py": "whether events are used",
    "models.py": "requests and responses",
    "response_info.py": "the response of a result",
    "secret.py": "strings that are never shown",
    "api/codec.py": "models to JSON and back",
    "api/endpoints.py": "the table of operations",
    "api/outcomes.py": "may the request be sent again",
    "api/rate_limit_headers.py": "headers of the rate limit",
    "api/request_checks.py": "checks of the request",
    "api/responses.py": "responses to models and errors",
    "concurrency/clock.py": "time",
    "concurrency/event_loop.py": "the running event loop",
    "concurrency/protected_task.py": "tasks that outlive their callers",
    "concurrency/waiters.py": "waits that closing ends",
    "jobs/poller.py": "expected webhooks",
    "ratelimit/limiter.py": "the public rate limiter",
    "ratelimit/permit_request.py": "the wait for a permit",
    "ratelimit/returning_permits.py": "the times at which permits return",
    "ratelimit/scheduler.py": "permits and slots",
    "ratelimit/wait_queue.py": "the wait queue",
    "ratelimit/window.py": "the rate-limit window",
    "transport/connection.py": "the raw response, until it is read",
    "transport/deferred_response.py": "the response, before it arrives",
    "transport/exceptions.py": "exceptions of aiohttp",
    "transport/http.py": "one request over aiohttp",
    "transport/payloads.py": "when the first byte is sent",
    "transport/permits.py": "permits of the pipeline",
    "transport/pipeline.py": "permit, request, retry",
    "transport/prepared_request.py": "the headers, as the session has them",
    "transport/proxies.py": "the proxy of a request",
    "transport/request.py": "the state of a request",
    "transport/request_timeouts.py": "timeouts",
    "transport/retry.py": "retries",
    "transport/server_clock.py": "the server's clock",
    "transport/sessions.py": "sessions of aiohttp",
    "transport/submissions.py": "submissions that outlive their callers",
}
OTHER_CODE = {
    "aiohttp": "HTTP, connections, headers",
    "asyncio": "the event loop, and the sockets of the system",
    "others": "yarl, multidict, logging, the measurement itself",
}


class Samples:
    """The number of samples by module."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def record(self, _: int, frame: FrameType | None) -> None:
        """Count the running module; the handler of the timer's signal."""
        self.counts[module_of(frame)] += 1

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Sample within the block."""
        signal.signal(signal.SIGPROF, self.record)
        signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def module_of(frame: FrameType | None) -> str:
    """Return the module of a function. Code without a source file, such as a generated `__init__`, has its caller's."""
    while frame is not None and not Path(frame.f_code.co_filename).suffix:
        frame = frame.f_back
    path = Path(frame.f_code.co_filename) if frame else Path()
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE).as_posix()
    return next((name for name in ("aiohttp", "asyncio") if name in path.parts), "others")


async def submit_for(seconds: float, port: int, samples: Samples) -> tuple[int, float]:
    """Submit as fast as possible, and return the number of submissions and their CPU seconds."""
    limits = RateLimits(submissions=RateLimit(fast_server.LIMIT))
    count, deadline = 0, time.monotonic() + seconds

    async def worker() -> None:
        nonlocal count
        while time.monotonic() < deadline:
            await client.submit(harness.url(1))
            count += 1

    async with AsyncVoiceprintClient(
        "key", base_url=f"http://127.0.0.1:{port}", max_concurrency=CONCURRENCY, rate_limits=limits
    ) as client:
        await client.submit(harness.url(1))
        before = time.process_time()
        with samples.sampling():
            await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
        return count, time.process_time() - before


def sample(port: int, seconds: float) -> dict[str, Any]:
    """Sample this process while it submits."""
    harness.stay_on_core(0)
    samples = Samples()
    submissions, cpu = asyncio.run(submit_for(seconds, port, samples))
    total, cpu_us = samples.counts.total(), cpu / submissions * 1e6
    microseconds = {name: count / total * cpu_us for name, count in samples.counts.items()}
    return {"submissions": submissions, "samples": total, "cpu_us": cpu_us, "microseconds": microseconds}


def measure(*, full: bool) -> dict[str, Any]:
    with fast_server.running(on_core=1) as port:
        return harness.in_fresh_process(sample, port, SECONDS[full])


def show(results: dict[str, Any]) -> None:
    microseconds = results["microseconds"]
    names = sorted(
        (name for name in microseconds if name not in OTHER_CODE), key=microseconds.__getitem__, reverse=True
    )
    total = sum(microseconds[name] for name in names)
    rows = [(name, text, f"{microseconds.get(name, 0.0):.1f}") for name, text in OTHER_CODE.items()]
    rows += [("this package", "the sum of its modules below", f"{total:.1f}")]
    rows += [(name, MODULES.get(name, ""), f"{microseconds[name]:.1f}") for name in names]
    rows += [
        ("all", f"{results['submissions']:,} submissions, {results['samples']:,} samples", f"{results['cpu_us']:.1f}")
    ]
    harness.table(("module", "what it does", "CPU µs a submission"), rows, words=2)


def draw(results: dict[str, Any], folder: Path) -> list[str]:  # noqa: ARG001 - every benchmark has this function
    """Draw nothing: the table is enough."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
