"""Where each microsecond of a submission goes, at 64 in flight.

The client is sampled: a timer of the system interrupts it each time that it has used some CPU time, and the
Python function that runs is written down. So each sample stands for the same time, wherever it was spent: in Python,
in C, or in the kernel. Python looks at the timer only where a function begins or a loop goes round, so a part of what
one function takes is counted for its neighbour: sums say more than single lines.
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
"""How long it is sampled, by whether the measurement is a full one."""
PERIOD = 0.001

PACKAGE = str(Path(pyannote_voiceprint_async.__file__).parent)

ROOMS = {
    "client.py": "the method, and its request",
    "checks.py": "is the request right",
    "codec.py": "JSON to send, JSON to model",
    "models.py": "requests and answers as attrs classes",
    "transport.py": "the ladder, and settling a turn",
    "retry.py": "repeat it?",
    "throttle.py": "place and slot",
    "budget.py": "the window of places",
    "line.py": "who waits",
    "protected.py": "a task that outlives its caller",
    "connection.py": "the raw response, until it is read",
    "call.py": "how far a call has come",
    "wire.py": "one exchange",
    "bodies.py": "when does the first byte leave",
    "watchdog.py": "timeouts",
    "answers.py": "what does the answer mean",
    "rate_headers.py": "what the headers say of the limit",
    "endpoints.py": "the table of the API",
    "clock.py": "time",
}
ELSEWHERE = {
    "aiohttp": "HTTP, connections, headers",
    "asyncio": "the event loop, and the sockets of the system",
    "others": "yarl, multidict, logging, the measurement itself",
}


class Samples:
    """Where the process was found, each time that it had used a millisecond."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def take(self, _: int, frame: FrameType | None) -> None:
        self.found[where(frame)] += 1

    @contextmanager
    def taken(self) -> Iterator[None]:
        signal.signal(signal.SIGPROF, self.take)
        signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def where(frame: FrameType | None) -> str:
    """Say whose the running function is; what has no source file, such as a generated `__init__`, is its caller's."""
    while frame is not None and not Path(frame.f_code.co_filename).suffix:
        frame = frame.f_back
    path = Path(frame.f_code.co_filename) if frame else Path()
    if str(path.parent) == PACKAGE:
        return path.name
    return next((name for name in ("aiohttp", "asyncio") if name in path.parts), "others")


async def submit_for(seconds: float, port: int, samples: Samples) -> tuple[int, float]:
    """Submit as fast as it goes, and give how many submissions there were, and their CPU seconds."""
    limits = RateLimits(submissions=RateLimit(fast_server.LIMIT))
    made, until = 0, time.monotonic() + seconds

    async def worker() -> None:
        nonlocal made
        while time.monotonic() < until:
            await client.submit(harness.url(1))
            made += 1

    async with AsyncVoiceprintClient(
        "key", base_url=f"http://127.0.0.1:{port}", max_concurrency=CONCURRENCY, rate_limits=limits
    ) as client:
        await client.submit(harness.url(1))
        before = time.process_time()
        with samples.taken():
            await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
        return made, time.process_time() - before


def sampled(port: int, seconds: float) -> dict[str, Any]:
    harness.stay_on_core(0)
    samples = Samples()
    made, cpu = asyncio.run(submit_for(seconds, port, samples))
    total = samples.found.total()
    microseconds = {name: count / total * cpu / made * 1e6 for name, count in samples.found.items()}
    return {"submissions": made, "samples": total, "cpu_us": cpu / made * 1e6, "microseconds": microseconds}


def measure(*, full: bool) -> dict[str, Any]:
    with fast_server.running(on_core=1) as port:
        return harness.in_fresh_process(sampled, port, SECONDS[full])


def show(results: dict[str, Any]) -> None:
    found = results["microseconds"]
    ours = sum(us for name, us in found.items() if name not in ELSEWHERE)
    rows = [(name, what, f"{found.get(name, 0.0):.1f}") for name, what in ELSEWHERE.items()]
    rows += [("this package", "all of what follows", f"{ours:.1f}")]
    names = sorted((name for name in found if name not in ELSEWHERE), key=found.__getitem__, reverse=True)
    rows += [(name, ROOMS.get(name, ""), f"{found[name]:.1f}") for name in names]
    rows += [
        ("all", f"{results['submissions']:,} submissions, {results['samples']:,} samples", f"{results['cpu_us']:.1f}")
    ]
    harness.table(("where", "what it does there", "CPU µs a submission"), rows, words=2)


def draw(results: dict[str, Any], folder: Path) -> list[str]:  # noqa: ARG001 - the table says it
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
