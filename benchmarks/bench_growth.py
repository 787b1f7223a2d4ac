"""Measure time and memory by the amount of work. Time should grow in proportion, and memory should stay the same.

- `enroll`: a generator of rows, enrolled with a ledger on the disk. The sandbox runs on the other core without limits,
  and its jobs end at once. The client polls every 0.05 to 0.5 seconds
- `submit_many`: a generator of URLs, submitted to a server that keeps nothing; each result is read and dropped
- waiting tasks: concurrent calls of `wait()` on one client, with limits and intervals 30 times shorter than in reality.
  No job ends; each wait has its own timeout

64 requests are in flight. Each count is measured in a fresh process, including the ledger's thread and the event loop.
The memory is the resident memory, read at least twenty times, minus that of the process before it begins. `again` is
the same measurement once more, which shows the noise.
"""

import asyncio
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import fast_server
import harness
import sandbox_server

from pyannote_voiceprint_async import AsyncVoiceprintClient, JobTimeoutError, Polling, RateLimit, RateLimits
from pyannote_voiceprint_async.enrollment import Finished, Row, RowSucceeded, enroll

COUNTS = {"enroll": (1_000, 10_000, 30_000), "submit_many": (1_000, 10_000, 100_000)}
FULL_COUNTS = {"enroll": (1_000, 10_000, 100_000, 1_000_000), "submit_many": (1_000, 10_000, 100_000, 1_000_000)}
AGAIN = 10_000
WAITING = (10, 1_000, 20_000)

UNLIMITED = RateLimits(*(RateLimit(1_000_000_000, 60.0) for _ in attrs.fields(RateLimits)))
# Jobs end at once and no rate limit applies, so the run waits only for the next poll.
QUICK = Polling(first=0.05, longest=0.5)

COMPRESSED = 30
WINDOW = 60.0 / COMPRESSED
LIMITS = RateLimits(job_reads=RateLimit(300, WINDOW), job_lists=RateLimit(300, WINDOW))
POLLING = Polling(first=1.0 / COMPRESSED, longest=10.0 / COMPRESSED)
PATIENCE = (3.0, 6.0)
"""Timeouts of the first and of the last waiting task, in seconds."""

# Items until buffers, pools and caches are filled; this growth is not a leak.
WARM_UP = 50_000
SAMPLES = 20
TARGET_RATE, TARGET_COST, TARGET_MEMORY = 1_000, 1.2, 200


@attrs.frozen
class Sample:
    """The state of a run at one time."""

    done: int
    resident: int
    """Bytes."""
    cpu: float
    """CPU seconds of the process so far, all threads together."""
    at: float
    """Seconds on a monotonic clock."""


def sample(done: int) -> Sample:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Sample(done, harness.resident_bytes(), used.ru_utime + used.ru_stime, time.perf_counter())


# The work. Each function takes a server and a count, and calls `done` for each finished item


async def enroll_rows(base_url: str, count: int, done: Callable[[], None]) -> None:
    rows = (Row(f"speaker {number:07}", harness.url(number)) for number in range(count))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            AsyncVoiceprintClient(
                sandbox_server.KEY, base_url=base_url, rate_limits=UNLIMITED, polling=QUICK
            ) as client,
            enroll(client, rows, f"{folder}/speakers.ledger") as run,
        ):
            async for event in run:
                if isinstance(event, RowSucceeded):
                    done()
                elif isinstance(event, Finished):
                    assert event.report.is_complete, event.report


async def submit_items(base_url: str, count: int, done: Callable[[], None]) -> None:
    async with (
        AsyncVoiceprintClient("key", base_url=base_url, rate_limits=UNLIMITED) as client,
        client.submit_many(harness.urls(count)) as submissions,
    ):
        async for submission in submissions:
            assert submission.job is not None, submission.error
            done()


GROWING: dict[str, Callable[[str, int, Callable[[], None]], Awaitable[None]]] = {
    "enroll": enroll_rows,
    "submit_many": submit_items,
}


def run_and_sample(name: str, base_url: str, count: int) -> list[Sample]:
    """Do the work in this process, and return its samples."""
    harness.stay_on_core(0)
    finished, every = 0, max(1, count // SAMPLES)
    samples = [sample(0)]

    def done() -> None:
        nonlocal finished
        finished += 1
        if finished % every == 0:
            samples.append(sample(finished))

    asyncio.run(GROWING[name](base_url, count, done))
    return [*samples, sample(finished)]


def grow(name: str, count: int, note: str = "") -> dict[str, Any]:
    """Measure one kind of work with one count."""
    harness.progress(f"{name}, {count:,}{note}")
    with server_for(name) as base_url:
        samples = harness.in_fresh_process(run_and_sample, name, base_url, count)
    first, last = samples[0], samples[-1]
    assert last.done == count
    return {
        "what": name + note,
        "count": count,
        "seconds": last.at - first.at,
        "cpu": last.cpu - first.cpu,
        "memory": max(one.resident for one in samples) - first.resident,
        "slope": slope(samples),
    }


@contextmanager
def server_for(name: str) -> Iterator[str]:
    if name == "enroll":
        with sandbox_server.running(core=1, window="none", job_seconds=0.0) as base_url:
            yield base_url
    else:
        with fast_server.running() as port:
            yield f"http://127.0.0.1:{port}"


def slope(samples: list[Sample]) -> float | None:
    """Return the bytes per item, by least squares over the samples after the warm-up, or None if they are few."""
    warm = [one for one in samples if one.done >= WARM_UP]
    if len({one.done for one in warm}) < SAMPLES // 4:
        return None
    return statistics.linear_regression([one.done for one in warm], [one.resident for one in warm]).slope


# Waiting tasks


async def wait_at_once(base_url: str, job_ids: list[str], patience: tuple[float, float]) -> dict[str, Any]:
    """Wait for these jobs, none of which ends, and return the cost."""
    shortest, longest = patience
    late: list[float] = []
    lags: list[float] = []
    most = 0
    async with AsyncVoiceprintClient(
        sandbox_server.KEY, base_url=base_url, rate_limits=LIMITS, polling=POLLING
    ) as client:

        async def wait(job_id: str, seconds: float) -> None:
            deadline = time.monotonic() + seconds
            try:
                await client.wait(job_id, timeout=seconds)
            except JobTimeoutError:
                late.append(time.monotonic() - deadline)

        async def watch_memory_and_lag() -> None:
            nonlocal most
            while True:
                due = time.monotonic() + 0.01
                await asyncio.sleep(0.01)
                lags.append(time.monotonic() - due)
                most = max(most, harness.resident_bytes())

        await client.get_job(job_ids[0])  # the first request allocates memory that does not belong to the waits
        gc.collect()
        idle = sample(0)
        waits = [
            asyncio.create_task(wait(job_id, shortest + (longest - shortest) * number / len(job_ids)))
            for number, job_id in enumerate(job_ids)
        ]
        await asyncio.sleep(shortest / 2)  # all waits begin in one loop iteration, which is not lag
        watching = asyncio.create_task(watch_memory_and_lag())
        await asyncio.gather(*waits)
        watching.cancel()
        return {
            "count": len(job_ids),
            "timed_out": len(late),
            "memory": most - idle.resident,
            "cpu": sample(0).cpu - idle.cpu,
            "requests": client.stats.requests - 1,
            "late": {"median": statistics.median(late), "most": max(late)},
            "lag": {"median": statistics.median(lags), "most": max(lags)},
        }


def wait_here(base_url: str, job_ids: list[str], patience: tuple[float, float]) -> dict[str, Any]:
    return asyncio.run(wait_at_once(base_url, job_ids, patience))


async def submit_jobs(base_url: str, count: int) -> list[str]:
    """Submit this many jobs, and return their ids."""
    async with (
        AsyncVoiceprintClient(sandbox_server.KEY, base_url=base_url, rate_limits=UNLIMITED) as client,
        client.submit_many(harness.urls(count)) as results,
    ):
        return [result.job.job_id async for result in results if result.job is not None]


def wait_all(counts: tuple[int, ...], patience: tuple[float, float] = PATIENCE) -> list[dict[str, Any]]:
    with sandbox_server.running(window="none", job_seconds=3600.0) as base_url:
        job_ids = asyncio.run(submit_jobs(base_url, max(counts)))
        found = []
        for count in counts:
            harness.progress(f"{count:,} waiting tasks")
            found.append(harness.in_fresh_process(wait_here, base_url, job_ids[:count], patience))
        return found


# The measurement


def measure(*, full: bool) -> dict[str, Any]:
    grown = []
    for name, counts in (FULL_COUNTS if full else COUNTS).items():
        for count in counts:
            grown.append(grow(name, count))
            if count == AGAIN:
                grown.append(grow(name, count, ", again"))
    return {"grown": grown, "waiting": wait_all(WAITING)}


def show(results: dict[str, Any]) -> None:
    print(
        f"Targets of `enroll`: {TARGET_RATE:,} rows a second; CPU at most {TARGET_COST} times that of a row of 10,000; "
        f"memory under {TARGET_MEMORY} MiB, and flat.\n"
    )
    rows = [
        (
            found["what"], f"{found['count']:,}", f"{found['seconds']:.1f}",
            f"{found['count'] / found['seconds']:,.0f}",
            f"{found['cpu'] / found['count'] * 1e6:.0f}", f"{found['memory'] / harness.MEBIBYTE:.1f}",
            "" if found["slope"] is None else f"{found['slope']:.1f}",
        )
        for found in results["grown"]
    ]  # fmt: skip
    headings = (
        "",
        "rows or items",
        "seconds",
        "a second",
        "CPU µs each",
        "memory above idle, MiB",
        f"bytes each, from {WARM_UP:,} on",
    )
    harness.table(headings, rows)
    rows = [
        (
            f"{found['count']:,}", f"{found['timed_out']:,}", f"{found['memory'] / harness.MEBIBYTE:.1f}",
            f"{found['memory'] / found['count'] / 1024:.1f}" if found["count"] >= 1000 else "", found["requests"],
            f"{found['late']['median'] * 1000:.1f}", f"{found['late']['most'] * 1000:.0f}",
            f"{found['lag']['median'] * 1000:.1f}", f"{found['lag']['most'] * 1000:.0f}",
        )
        for found in results["waiting"]
    ]  # fmt: skip
    headings = (
        "waiting tasks", "timed out", "memory above idle, MiB", "KiB each", "requests",
        "late by, ms: median", "at most", "lag of the loop, ms: median", "at most",
    )  # fmt: skip
    harness.table(headings, rows, words=0)


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    series = {name: [found for found in results["grown"] if found["what"] == name] for name in COUNTS} | {
        "waiting tasks": results["waiting"]
    }
    with harness.figure(folder, "growth.png", columns=2) as (times, memories):
        for number, (name, points) in enumerate(series.items()):
            look = {"color": harness.COLORS[number], "marker": harness.MARKERS[number], "label": name}
            counts = [found["count"] for found in points]
            memories.loglog(counts, [max(found["memory"], 1) / harness.MEBIBYTE for found in points], **look)
            if name in GROWING:
                times.loglog(counts, [found["seconds"] for found in points], **look)
        edges = [1_000, max(found["count"] for found in results["grown"])]
        times.loglog(edges, [one / TARGET_RATE for one in edges], "--", color=harness.GREY, label="1,000 a second")
        memories.set_ylim(bottom=0.1)
        times.set(title="Time", xlabel="rows or items", ylabel="seconds")
        memories.set(title="Memory beyond that of an idle process", xlabel="rows, items or tasks", ylabel="MiB")
        for axis in (times.xaxis, times.yaxis, memories.xaxis, memories.yaxis):
            axis.set_major_formatter("{x:,g}")
        handles = dict(zip(*reversed(memories.get_legend_handles_labels()), strict=True))
        handles |= dict(zip(*reversed(times.get_legend_handles_labels()), strict=True))
        times.figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return ["growth.png"]


if __name__ == "__main__":
    harness.main(measure, show, draw)
