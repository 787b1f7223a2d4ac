"""Every fault that is tried, what becomes of calls, and what they cost: the table of the tests, in full.

A duplicate is a submission that the server accepted although it had accepted one of the same call. A loss is a job that
was accepted, whose id nobody has, and of which no error says that it may exist. A leak is a task, a socket, a file or a
request that is left at the end. A few processes share the faults; in each of them one happens after the other.
"""

import asyncio
import logging
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import harness

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faults.counts import Counts
from faults.rows import lines, sums
from faults.table import FAULTS

# Many of them mostly wait.
WORKERS = 2 * (os.cpu_count() or 1)
TIMES = {False: 1, True: 10}


def measure(*, full: bool) -> dict[str, Any]:
    """Let each fault happen, and give one row for each."""
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        rows = list(pool.map(partial(happen, TIMES[full]), range(len(FAULTS))))
    return {"rows": rows, "totals": sums(rows)}


def happen(times: int, number: int) -> dict[str, Any]:
    """Let one fault happen some times, and say whether all of it was expected."""
    logging.getLogger("pyannote_voiceprint_async").addHandler(logging.NullHandler())
    fault, counts = FAULTS[number], Counts()
    for _ in range(times):
        counts += asyncio.run(fault.run())
    unexpected = counts.happened.keys() - fault.expected
    return {"family": fault.family, "fault": fault.name, **counts.to_dict(), "unexpected": sorted(unexpected)}


def show(results: dict[str, Any]) -> None:
    """Print the table, family by family, and what nobody expected."""
    print("\n".join(["```text", *lines(results["rows"], with_faults=True), "```"]))
    for row in results["rows"]:
        if row["unexpected"]:
            print(f"NOT EXPECTED of {row['fault']}: {'; '.join(row['unexpected'])}")


def draw(results: dict[str, Any], folder: Path) -> list[str]:  # noqa: ARG001 - as all measurements have it
    """Draw nothing: it is a table."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
