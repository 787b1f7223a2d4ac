"""Measure the time that this client adds to a submission, compared with bare aiohttp, at a latency of 50 ms.

16 submissions are in flight: they begin together every 60 ms, or one after the other, evenly spread over the 50 ms of
the latency. Each submission is measured from its call to its job id. Bare aiohttp is the loop that its documentation
shows: `json=` to send, `.json()` to parse.

The contestants take turns in one process, slice by slice, on a core of its own. The time added is the difference of the
percentiles of neighbouring slices; bare aiohttp against itself shows the noise. The server runs on the other core, and
keeps its latency exact to microseconds: it checks the clock all the time, because a timer of the event loop is only
exact to a millisecond.
"""

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import bench_throughput
import fast_server
import harness
from bench_throughput import BARE, OURS, Submit

IN_FLIGHT, LATENCY = 16, 0.05
PAUSE = 0.06
"""Seconds from one group of submissions that begin together to the next. The latency has passed then."""

CONTESTANTS = (BARE, OURS, "bare aiohttp, again")
STARTS = ("together", "one after the other")
SLICES, FULL_SLICES = 10, 40
SUBMISSIONS, FULL_SUBMISSIONS = 160, 640
PERCENTILES = (50, 99)
TARGETS = {50: 0.5, 99: 2.0}
"""Milliseconds that this client may add."""


def start_of(number: int, start: str) -> float:
    """Return when a submission of a slice begins, in seconds from the beginning of the slice."""
    return number // IN_FLIGHT * PAUSE if start == "together" else number * LATENCY / IN_FLIGHT


async def latencies(submit: Submit, start: str, submissions: int) -> list[float]:
    """Make this many submissions, and return the milliseconds of each from its call to its result."""
    began = time.perf_counter()

    async def one(number: int) -> float:
        await asyncio.sleep(began + start_of(number, start) - time.perf_counter())
        called = time.perf_counter()
        await submit()
        return (time.perf_counter() - called) * 1000

    return await asyncio.gather(*map(one, range(submissions)))


def percentiles(values: Sequence[float]) -> dict[int, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {percent: cuts[percent - 1] for percent in PERCENTILES}


async def take_turns(base_url: str, slices: int, submissions: int) -> dict[str, Any]:
    """Return the percentiles of all contestants in milliseconds, slice by slice, by how submissions begin."""
    found: dict[str, dict[str, list[dict[int, float]]]] = {
        start: {name: [] for name in CONTESTANTS} for start in STARTS
    }
    async with AsyncExitStack() as stack:
        submits = {
            name: await stack.enter_async_context(bench_throughput.CONTESTANTS[name](base_url, 4 * IN_FLIGHT))
            for name in CONTESTANTS
        }
        for submit in submits.values():
            await latencies(submit, "together", 2 * IN_FLIGHT)  # opens the connections
        for _, start, (name, submit) in itertools.product(range(slices), STARTS, submits.items()):
            found[start][name].append(percentiles(await latencies(submit, start, submissions)))
    return {start: compare(measured) for start, measured in found.items()}


def compare(measured: dict[str, list[dict[int, float]]]) -> dict[str, Any]:
    """Return the quartiles of each contestant's percentiles, and of their differences from bare aiohttp."""
    return {
        name: {
            str(percent): {
                "ms": harness.quartiles([one[percent] for one in slices]),
                "added": harness.quartiles(
                    [one[percent] - bare[percent] for one, bare in zip(slices, measured[BARE], strict=True)]
                ),
            }
            for percent in PERCENTILES
        }
        for name, slices in measured.items()
    }


def run(base_url: str, slices: int, submissions: int) -> dict[str, Any]:
    """Run all contestants in turn, on a core of this process alone."""
    harness.stay_on_core(0)
    return asyncio.run(take_turns(base_url, slices, submissions))


def measure(*, full: bool) -> dict[str, Any]:
    os.environ.update(bench_throughput.MALLOC_SETTINGS)  # for the process of the contestants
    slices, submissions = (FULL_SLICES, FULL_SUBMISSIONS) if full else (SLICES, SUBMISSIONS)
    with fast_server.running(on_core=1, latency=LATENCY) as port:
        starts = harness.in_fresh_process(run, f"http://127.0.0.1:{port}", slices, submissions)
    return {"slices": slices, "submissions": submissions, "starts": starts}


def show(results: dict[str, Any]) -> None:
    print(
        f"{IN_FLIGHT} in flight at a latency of {LATENCY * 1000:.0f} ms; medians of {results['slices']} slices of "
        f"{results['submissions']} submissions (quartiles). The targets are {TARGETS[50]} ms added at p50, and "
        f"{TARGETS[99]} ms at p99.\n"
    )
    rows = []
    for start, measured in results["starts"].items():
        for name, found in measured.items():
            cells = [harness.span(found[str(percent)][what]) for percent in PERCENTILES for what in ("ms", "added")]
            if name == BARE:
                cells[1] = cells[3] = ""
            rows.append((start, name, *cells))
    harness.table(("they begin", "contestant", "p50, ms", "added", "p99, ms", "added"), rows, words=2)


def draw(_results: dict[str, Any], _folder: Path) -> list[str]:
    """Draw nothing: the table is short."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
