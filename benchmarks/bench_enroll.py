"""Bulk enrollment without rate limits: rows a second end to end, what a row costs, and whether the memory stays flat.

The list is a generator of URLs; each becomes a voiceprint in a ledger on the disk. The sandbox runs in a process of its
own, on another core where there is one, and its jobs are done at once. Each number of rows is measured in a fresh
process.

- rows/s: from the first line of the list to the last event, the ledger included
- CPU: of the whole process, the ledger's thread included, without its start
- memory: resident, read every so many rows
"""

import argparse
import asyncio
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import attrs
from bench_memory import MEBIBYTE, resident_bytes

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling, RateLimit, RateLimits
from pyannote_voiceprint_async.enrollment import Finished, Row, RowSucceeded, enroll
from pyannote_voiceprint_async.sandbox import Sandbox

UNLIMITED = RateLimits(*(RateLimit(1_000_000_000, 60.0) for _ in attrs.fields(RateLimits)))
# Where jobs are done at once and nothing is limited, the pause between two looks is all that is waited for.
POLLING = Polling(first=0.05, longest=0.5)
KEY = "sandbox-key"
# Until then buffers, pools and caches fill up, which is no leak.
WARM_UP = 20_000
FEWEST_SAMPLES = 5
# Of the course of a run.
LINES = 20


@attrs.frozen
class Sample:
    """One moment of a run."""

    rows: int
    """Voiceprints so far."""
    resident: int
    """Bytes."""
    user: float
    """Seconds of the CPU, in user mode, since the run began."""
    at: float
    """Seconds since the run began."""


@attrs.frozen
class Measured:
    """What a run took."""

    rows: int
    seconds: float
    user: float
    system: float
    peak: int
    """Bytes."""
    samples: list[Sample]
    ledger_bytes: int

    @property
    def slope(self) -> float:
        """Bytes of memory that a row costs, by least squares over all samples after the warm-up.

        NaN where there are too few of them.
        """
        warm = [sample for sample in self.samples if sample.rows >= WARM_UP]
        if len(warm) < FEWEST_SAMPLES:
            return math.nan
        middle_rows = sum(sample.rows for sample in warm) / len(warm)
        middle_bytes = sum(sample.resident for sample in warm) / len(warm)
        spread = sum((sample.rows - middle_rows) ** 2 for sample in warm)
        together = sum((sample.rows - middle_rows) * (sample.resident - middle_bytes) for sample in warm)
        return together / spread


def speakers(rows: int) -> Iterator[Row]:
    """Give as many different speakers."""
    return (Row(f"speaker {number:07}", f"https://example.com/voices/{number:07}.wav") for number in range(rows))


def stay_on_core(number: int) -> None:
    """Keep this process on one core, where that can be said and there are several."""
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, {cores[number % len(cores)]})


# In the process that is measured


async def enroll_all(base_url: str, rows: int, ledger: str, every: int) -> Measured:
    """Turn all rows into voiceprints, and take a sample every so many of them."""
    samples: list[Sample] = []
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)

    def sample(done: int) -> None:
        user = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before.ru_utime
        samples.append(Sample(done, resident_bytes(), user, time.perf_counter() - started))

    sample(0)
    async with (
        AsyncVoiceprintClient(KEY, base_url=base_url, rate_limits=UNLIMITED, polling=POLLING) as client,
        enroll(client, speakers(rows), ledger) as run,
    ):
        done = 0
        async for event in run:
            if isinstance(event, RowSucceeded):
                done += 1
                if done % every == 0:
                    sample(done)
            elif isinstance(event, Finished):
                assert event.report.is_complete, event.report
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - started
    return Measured(
        rows,
        seconds,
        after.ru_utime - before.ru_utime,
        after.ru_stime - before.ru_stime,
        after.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        samples,
        os.path.getsize(ledger),  # noqa: ASYNC240, PTH202 - it is all over
    )


def measure_here(base_url: str, rows: int, every: int) -> None:
    """Measure in this process, and print it as JSON."""
    stay_on_core(0)
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(enroll_all(base_url, rows, f"{folder}/speakers.ledger", every))
    print(json.dumps(attrs.asdict(measured)))


# In the sandbox's process


async def serve() -> None:
    """Print where the sandbox listens, and serve until the standard input ends."""
    stay_on_core(1)
    async with Sandbox(window="none", job_seconds=0.0, api_key=KEY) as sandbox:
        print(sandbox.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


# In the process that reports


@contextmanager
def running_sandbox() -> Iterator[str]:
    """Run a sandbox in a process of its own, and give its URL."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.communicate()


def measure(rows: int, every: int) -> Measured:
    """Measure in a fresh process, with a fresh sandbox."""
    with running_sandbox() as base_url:
        command = [sys.executable, __file__, "--here", base_url, "--rows", str(rows), "--every", str(every)]
        found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return Measured(**found | {"samples": [Sample(**sample) for sample in found["samples"]]})


def report(measured: list[Measured]) -> None:
    """Print the table."""
    print(
        f"{'rows':>10}{'rows/s':>9}{'user CPU, µs/row':>19}{'system, µs/row':>17}{'RSS at first, MiB':>19}"
        f"{'peak, MiB':>11}{'slope, bytes/row':>18}{'ledger, bytes/row':>19}"
    )
    for one in measured:
        print(
            f"{one.rows:10,}{one.rows / one.seconds:9.0f}{one.user / one.rows * 1e6:19.0f}"
            f"{one.system / one.rows * 1e6:17.0f}{one.samples[0].resident / MEBIBYTE:19.1f}"
            f"{one.peak / MEBIBYTE:11.1f}{one.slope:18.1f}{one.ledger_bytes / one.rows:19.0f}"
        )
    print(f"slope: from {WARM_UP:,} rows on, by least squares; targets: 1,000 rows/s, ", end="")
    if len(measured) > 1:
        few, many = measured[0], measured[-1]
        ratio = (many.user / many.rows) / (few.user / few.rows)
        print(f"user CPU per row at most 1.2 times that of {few.rows:,} (it is {ratio:.3f} at {many.rows:,}), ", end="")
    print("memory flat, and under 200 MB at 1,000,000 rows")


def report_course(measured: Measured) -> None:
    """Print how a run went on."""
    print(f"\n{'rows':>10}{'RSS, MiB':>10}{'rows/s':>9}{'user CPU, µs/row':>19}")
    for before, after in pairwise(measured.samples[:: math.ceil(len(measured.samples) / LINES)]):
        rows = after.rows - before.rows
        print(
            f"{after.rows:10,}{after.resident / MEBIBYTE:10.1f}{rows / (after.at - before.at):9.0f}"
            f"{(after.user - before.user) / rows * 1e6:19.0f}"
        )


def main() -> None:
    """Read the options, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="of each list")
    parser.add_argument("--quick", action="store_true", help="2,000 and 10,000 rows")
    parser.add_argument("--every", type=int, default=5_000, help="rows between two samples of the memory")
    parser.add_argument("--here", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    elif options.here:
        measure_here(options.here, options.rows[0], options.every)
    else:
        measured = [measure(rows, options.every) for rows in ([2_000, 10_000] if options.quick else options.rows)]
        report(measured)
        report_course(measured[-1])


if __name__ == "__main__":
    main()
