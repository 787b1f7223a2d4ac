"""Measure identifications at their largest: the output of a day, and a request with 50 long voiceprints.

- Reading: `client.identify` against a server on this machine, whose output has 100,000 turns in each of `diarization`
  and `identification`, and 50 speakers with 50 scores each. A second output also has `exclusiveDiarization`, and the
  confidence over 24 hours.
- Merging: `identify_among` with 100 speakers, two jobs with the first of these outputs.
- Submitting: `client.submit_identification` with 50 voiceprints of 20,000 characters.

The server is a process of its own. A task of the client's event loop sleeps for a millisecond again and again: the
longest time by which it wakes too late is the time for which the loop was blocked. On a busy machine, the task also
waits for a processor; so the most CPU time that the process used between two of its turns is measured too. The memory
is the growth of the client's process at its peak.
"""

import asyncio
import contextlib
import gc
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import harness
from aiohttp import web

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling
from pyannote_voiceprint_async.identification import identify_among

RUNS, FULL_RUNS = 5, 20
TURNS = 100_000
DAY = 24 * 3600.0
URL = "https://example.com/day.wav"
TARGETS = "The targets are one second, 200 MB, and 20 ms."

SPEAKERS = {f"Speaker number {number}": f"{number:02}" * 10_000 for number in range(50)}
LABELS = list(SPEAKERS)


def output(*, whole: bool) -> bytes:
    """Return the output of a recording of 24 hours."""
    step = DAY / TURNS
    spans = [(number % 50, round(number * step, 3), round(number * step + 0.8 * step, 3)) for number in range(TURNS)]
    diarization = [{"speaker": f"SPEAKER_{who:02}", "start": start, "end": end} for who, start, end in spans]
    parts: dict[str, Any] = {
        "diarization": diarization,
        "identification": [
            {
                "speaker": LABELS[who],
                "start": start,
                "end": end,
                "diarizationSpeaker": f"SPEAKER_{who:02}",
                "match": LABELS[who],
            }
            for who, start, end in spans
        ],
        "voiceprints": [
            {"speaker": f"SPEAKER_{who:02}", "match": LABELS[who], "confidence": dict.fromkeys(LABELS, 12.5)}
            for who in range(50)
        ],
    }
    if whole:
        parts |= {
            "exclusiveDiarization": diarization,
            "confidence": {"score": [99 - number % 50 for number in range(int(DAY) * 50)], "resolution": 0.02},
        }
    return json.dumps({"jobId": "job-1", "status": "succeeded", "output": parts}, separators=(",", ":")).encode()


# The server


def serve(port: Connection, whole: bool | None) -> None:  # noqa: FBT001 - the argument of a process
    body = b"" if whole is None else output(whole=whole)
    asyncio.run(_serve(port, body))


async def _serve(port: Connection, body: bytes) -> None:
    async def accept(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"jobId": "job-1", "status": "created"})

    async def read(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application(client_max_size=2**24)
    app.add_routes([web.post("/v1/identify", accept), web.get("/v1/jobs/{job}", read)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port.send((runner.addresses[0][1], len(body)))
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def client_of(*, whole: bool | None) -> AsyncIterator[tuple[AsyncVoiceprintClient, int]]:
    """Yield a client of a server in another process, and the bytes of the output there."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    server = context.Process(target=serve, args=(sender, whole), daemon=True)
    server.start()
    try:
        port, size = receiver.recv()
        url = f"http://127.0.0.1:{port}"
        async with AsyncVoiceprintClient("sk-bench", base_url=url, polling=Polling(first=0.001)) as client:
            yield client, size
    finally:
        server.kill()
        server.join()


# The measurements


class Heartbeat:
    """Measures for how long the event loop is blocked at most."""

    PAUSE = 0.001

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds."""
        self.longest_cpu = 0.0
        """The most seconds of CPU time that the process used between two turns of this task."""

    async def run(self) -> None:
        while True:
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(self.PAUSE)
            self.longest = max(self.longest, time.perf_counter() - began - self.PAUSE)
            self.longest_cpu = max(self.longest_cpu, time.process_time() - cpu)


async def timed(call: Any) -> dict[str, float]:
    """Await a call, and return its seconds and the longest time for which the event loop was blocked."""
    # The first full collection of a process visits everything that was imported, and takes 10 ms itself.
    gc.collect()
    heartbeat = Heartbeat()
    beating = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(0.01)
    heartbeat.longest = heartbeat.longest_cpu = 0.0
    began, cpu = time.perf_counter(), time.process_time()
    await call
    found = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "blocked": heartbeat.longest,
        "blocked_cpu": heartbeat.longest_cpu,
    }
    beating.cancel()
    return found


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def read(*, whole: bool) -> dict[str, float]:
    """Return the seconds and the memory of one identification."""

    async def reading() -> dict[str, float]:
        async with client_of(whole=whole) as (client, size):
            await client.submit_identification(URL, {"Ann": "value"})
            before = peak_bytes()
            found = await timed(client.identify(URL, {"Ann": "value"}))
            return found | {"memory": float(peak_bytes() - before), "bytes": float(size)}

    return asyncio.run(reading())


def merge() -> dict[str, float]:
    """Return the seconds and the memory of one identification among 100 speakers."""
    speakers = {f"Speaker number {number}": "value" for number in range(100)}

    async def merging() -> dict[str, float]:
        async with client_of(whole=False) as (client, size):
            await client.submit_identification(URL, {"Ann": "value"})
            before = peak_bytes()
            found = await timed(identify_among(client, URL, speakers, max_jobs=2))
            return found | {"memory": float(peak_bytes() - before), "bytes": float(size)}

    return asyncio.run(merging())


def submit() -> dict[str, float]:
    """Return the seconds of one large submission."""

    async def submitting() -> dict[str, float]:
        async with client_of(whole=None) as (client, _):
            await client.submit_identification(URL, {"Ann": "value"})
            return await timed(client.submit_identification(URL, SPEAKERS))

    return asyncio.run(submitting())


CASES = {
    "read 100,000 turns": partial(read, whole=False),
    "the same, an exclusive diarization, the confidence of 24 h": partial(read, whole=True),
    "merge two jobs of 100,000 turns": merge,
    "submit 50 voiceprints of 20,000 characters": submit,
}


def measure(*, full: bool) -> dict[str, Any]:
    runs = FULL_RUNS if full else RUNS
    found = {}
    for name, case in CASES.items():
        harness.progress(name)
        slices = [harness.in_fresh_process(case) for _ in range(runs)]
        found[name] = {field: statistics.median(one[field] for one in slices) for field in slices[0]}
    return found


def show(results: dict[str, Any]) -> None:
    print(f"{TARGETS}\n")
    rows = [
        (
            name,
            f"{found['bytes'] / 1e6:.0f}" if "bytes" in found else "",
            f"{found['seconds']:.3f}",
            f"{found['cpu']:.3f}",
            f"{found['memory'] / 1e6:.0f}" if "memory" in found else "",
            f"{found['blocked'] * 1000:.1f}",
            f"{found['blocked_cpu'] * 1000:.1f}",
        )
        for name, found in results.items()
    ]
    head = ("medians", "output, MB", "seconds", "CPU seconds", "memory, MB", "loop blocked, ms", "of that CPU, ms")
    harness.table(head, rows)


def draw(_results: dict[str, Any], _folder: Path) -> list[str]:
    """Draw nothing: the table is short."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
