"""Waiting for many jobs: does the whole way keep up with the submissions, and what does it cost?

A sandbox runs in another process, with the documented limits. Every window and every pause is compressed 30 times:
100 submissions and 300 reads in 2 seconds, so that 1,000 voiceprints take 20 seconds instead of ten minutes. What
does not shrink are the machine's own delays, so these numbers are worse than those of the real scale.

- flow: `voiceprint_many` over 1,000 URLs, for jobs of 0.1, 1 and 4 windows, then the same with webhooks
- crowd: 20,000 waits at once on one client
- sdk: some of the same with the official SDK in 64 threads, which knows nothing of 429
"""

import argparse
import asyncio
import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from aiohttp import web

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    JobTimeoutError,
    Polling,
    RateLimit,
    RateLimits,
    aiohttp_webhook_handler,
)

COMPRESSED = 30
WINDOW = 60.0 / COMPRESSED
POLLING = Polling(first=1.0 / COMPRESSED, longest=10.0 / COMPRESSED, webhook_grace=60.0 / COMPRESSED)
LIMITS = RateLimits(
    submissions=RateLimit(100, WINDOW), job_reads=RateLimit(300, WINDOW), job_lists=RateLimit(300, WINDOW)
)
UNLIMITED = RateLimits(submissions=RateLimit(1_000_000, WINDOW))
KEY, SECRET = "sandbox-key", "sandbox-webhook-secret"
MEBIBYTE = 1024 * 1024
STATM = Path("/proc/self/statm")


def url(number: int) -> str:
    return f"https://example.com/voices/{number:07}.wav"


@contextmanager
def sandbox(job_seconds: float, submissions: int = 100) -> Iterator[str]:
    """Run a sandbox in a process of its own, and give its URL."""
    command = [sys.executable, "-m", "pyannote_voiceprint_async.cli", "sandbox"]
    command += ["--rate-limit", f"{submissions}/{WINDOW:g}", "--read-limit", f"300/{WINDOW:g}"]
    command += ["--job-seconds", f"{job_seconds:g}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGTERM)


async def counts(base_url: str) -> dict[str, Any]:
    """Ask the sandbox what it has seen."""
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/_sandbox/state") as response:
        state: dict[str, Any] = await response.json()
        return state


@asynccontextmanager
async def receiver(client: AsyncVoiceprintClient) -> AsyncIterator[str]:
    """Take webhooks for the client, and give where."""
    app = web.Application()
    app.router.add_post("/", aiohttp_webhook_handler(client, SECRET))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


# The flow


@attrs.frozen
class Flow:
    """What 1,000 voiceprints took."""

    share: float
    """Of the submission limit, between the first and the last tenth."""
    lists: int
    reads: int
    refused: int
    """429s, as the server counted them."""
    failed: int
    seconds: float


async def flow(base_url: str, items: int, *, webhooks: bool) -> Flow:
    finished, failed = [], 0
    began = time.perf_counter()
    async with (
        AsyncVoiceprintClient(KEY, base_url=base_url, rate_limits=LIMITS, polling=POLLING) as client,
        receiver(client) as webhook,
        client.voiceprint_many(map(url, range(items)), webhook=webhook if webhooks else None) as results,
    ):
        async for result in results:
            finished.append(time.perf_counter())
            failed += result.error is not None
    state = await counts(base_url)
    operations = state["operations"]
    first, last = items // 10, items * 9 // 10
    rate = (last - first) / (finished[last - 1] - finished[first - 1])
    return Flow(
        share=rate / (100 / WINDOW),
        lists=operations["jobs"]["requests"],
        reads=operations["job"]["requests"],
        refused=state["total"]["rateLimited"],
        failed=failed,
        seconds=finished[-1] - began,
    )


def run_flows(items: int, repeats: int) -> None:
    print(f"\n{items:,} voiceprints end to end; 100 submissions and 300 reads in a window of {WINDOW:g} s")
    print(
        f"{'jobs take':>16}{'of the limit':>14}{'requests a voiceprint':>24}{'lists':>8}{'reads':>8}{'429s':>6}"
        f"{'failed':>8}{'seconds':>9}"
    )
    for windows, webhooks in ((0.1, False), (1.0, False), (4.0, False), (0.1, True), (0.5, True)):
        for _ in range(repeats):
            with sandbox(windows * WINDOW) as base_url:
                measured = asyncio.run(flow(base_url, items, webhooks=webhooks))
            name = f"{windows:g} windows" + (" *" if webhooks else "  ")
            print(
                f"{name:>16}{measured.share:14.3f}{(measured.lists + measured.reads) / items:24.3f}{measured.lists:8}"
                f"{measured.reads:8}{measured.refused:6}{measured.failed:8}{measured.seconds:9.1f}",
                flush=True,
            )
    print("* with webhooks, in this process. Requests are those beyond the submission itself.")


# The crowd


@attrs.frozen
class Crowd:
    """What many waits at once took."""

    grown: float
    """Bytes above idle at the most."""
    tasks: int
    """Tasks that were there beside the waits themselves and the measurement."""
    requests: int
    late: list[float]
    """Seconds after its time at which each wait ended."""
    lags: list[float]
    """Seconds by which the event loop was late, every 10 ms, while they waited."""


def resident_bytes() -> float:
    return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def submit_all(base_url: str, items: int) -> list[str]:
    async with (
        AsyncVoiceprintClient(KEY, base_url=base_url, rate_limits=UNLIMITED) as client,
        client.submit_many(map(url, range(items))) as results,
    ):
        return [result.job.job_id async for result in results if result.job is not None]


async def crowd(base_url: str, job_ids: list[str], memory: Callable[[], float]) -> Crowd:
    """Wait for all of these jobs, of which none ends. Patience ends between the 6th and the 14th second."""
    late: list[float] = []
    lags: list[float] = []
    most, tasks = 0.0, 0
    async with AsyncVoiceprintClient(KEY, base_url=base_url, rate_limits=LIMITS, polling=POLLING) as client:

        async def wait(job_id: str, patience: float) -> None:
            until = time.monotonic() + patience
            try:
                await client.wait(job_id, timeout=patience)
            except JobTimeoutError:
                late.append(time.monotonic() - until)

        async def measure() -> None:
            nonlocal most, tasks
            await asyncio.sleep(4.0)  # until then the waits begin, all in one turn of the loop
            while True:
                due = time.monotonic() + 0.01
                await asyncio.sleep(0.01)
                lags.append(time.monotonic() - due)
                most = max(most, memory())
                if len(lags) in {1, 100}:  # counting them takes 10 ms of the loop
                    tasks = max(tasks, len(asyncio.all_tasks()) - (len(job_ids) - len(late)) - 2)

        await client.get_job(job_ids[0])
        gc.collect()
        idle = memory()
        measuring = asyncio.create_task(measure())
        waits = [
            asyncio.create_task(wait(job_id, 6.0 + 8.0 * number / len(job_ids)))
            for number, job_id in enumerate(job_ids)
        ]
        await asyncio.gather(*waits)
        measuring.cancel()
        return Crowd(most - idle, tasks, client.stats.requests, late, lags)


def run_crowd(items: int) -> None:
    print(f"\n{items:,} waits at once on one client; no job ends, each wait has a timeout of its own")
    with sandbox(job_seconds=3600.0, submissions=1_000_000) as base_url:
        job_ids = asyncio.run(submit_all(base_url, items))
        resident = asyncio.run(crowd(base_url, job_ids, resident_bytes))
        tracemalloc.start()
        traced = asyncio.run(crowd(base_url, job_ids, lambda: float(tracemalloc.get_traced_memory()[0])))
        tracemalloc.stop()
    late, lags = (
        statistics.quantiles([seconds * 1000 for seconds in values], n=100) for values in (resident.late, resident.lags)
    )
    print(f"memory above idle          {resident.grown / MEBIBYTE:8.1f} MiB RSS, {traced.grown / MEBIBYTE:.1f} traced")
    print(f"tasks beside the waits     {resident.tasks:8} at the most: the watcher's, and reads under way")
    print(f"ended with their timeout   {len(resident.late):8}")
    print(
        f"late by, ms                {late[49]:8.1f} median, {late[98]:.1f} 99 %, {max(resident.late) * 1000:.1f} most"
    )
    print(
        f"lag of the event loop, ms  {lags[49]:8.1f} median, {lags[98]:.1f} 99 %, {max(resident.lags) * 1000:.1f} most"
    )
    print(f"requests                   {resident.requests:8}", flush=True)


# The official SDK


def run_sdk(items: int) -> None:
    from pyannoteai.sdk import Client  # noqa: PLC0415 - only here

    def one(client: Any, number: int) -> str:
        try:
            job = client.retrieve(client.voiceprint(url(number)), every_seconds=POLLING.longest)
        except Exception as exc:  # noqa: BLE001 - all are counted
            response = getattr(exc, "response", None)
            return f"{type(exc).__name__} {getattr(response, 'status_code', '')}".strip()
        return str(job["status"])

    warnings.filterwarnings("ignore", message="\nYou are using periodic polling")
    print(f"\n{items:,} voiceprints, jobs of 1 window: the official SDK in 64 threads, and this client")
    with sandbox(WINDOW) as base_url:
        Client.API_URL = f"{base_url}/v1"
        began = time.perf_counter()
        with ThreadPoolExecutor(64) as pool:
            client = Client(KEY)
            outcomes = Counter(pool.map(lambda number: one(client, number), range(items)))
        seconds = time.perf_counter() - began
        state = asyncio.run(counts(base_url))
    paid = state["jobs"]
    print(
        f"SDK          {outcomes['succeeded']:6} voiceprints in {seconds:5.1f} s; paid: {paid}; "
        f"429s: {state['total']['rateLimited']}; {dict(outcomes)}"
    )
    with sandbox(WINDOW) as base_url:
        measured = asyncio.run(flow(base_url, items, webhooks=False))
    print(
        f"this client  {items - measured.failed:6} voiceprints in {measured.seconds:5.1f} s; paid: {items}; "
        f"429s: {measured.refused}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="flow, crowd, sdk; all by default")
    parser.add_argument("--items", type=int, default=1000, help="voiceprints of a flow")
    parser.add_argument("--repeats", type=int, default=1, help="of each flow")
    parser.add_argument("--waits", type=int, default=20_000, help="of the crowd")
    parser.add_argument("--sdk-items", type=int, default=200)
    options = parser.parse_args()
    parts = {
        "flow": lambda: run_flows(options.items, options.repeats),
        "crowd": lambda: run_crowd(options.waits),
        "sdk": lambda: run_sdk(options.sdk_items),
    }
    if unknown := set(options.parts) - parts.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    for name in options.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
