"""The table of faults of the tests, in full: how calls end that meet a fault, and what they cost.

A duplicate is a call with two accepted jobs. A loss is an accepted job whose id no caller has, and that no error
reports as possible. A leak is a task, a socket, a file or a request that is left at the end. The faults are divided
among several processes, each of which provokes one fault after another.
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
from warm_process import start_parent

# More processes than cores, because many faults consist of waiting.
WORKERS = 2 * (os.cpu_count() or 1)
TIMES = {False: 1, True: 10}


def measure(*, full: bool) -> dict[str, Any]:
    """Provoke each fault, and return one row per fault."""
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn"), start_parent) as pool:
        rows = list(pool.map(partial(provoke, TIMES[full]), range(len(FAULTS))))
    return {"rows": rows, "totals": sums(rows)}


def provoke(times: int, number: int) -> dict[str, Any]:
    """Provoke one fault several times, and return its counts with the outcomes that the table does not contain."""
    logging.getLogger("pyannote_voiceprint_async").addHandler(logging.NullHandler())
    fault, counts = FAULTS[number], Counts()
    for _ in range(times):
        counts += asyncio.run(fault.run())
    unexpected = counts.happened.keys() - fault.expected
    return {"family": fault.family, "fault": fault.name, **counts.to_dict(), "unexpected": sorted(unexpected)}


def show(results: dict[str, Any]) -> None:
    """Print the table by family, and unexpected outcomes."""
    print("\n".join(["```text", *lines(results["rows"], with_faults=True), "```"]))
    for row in results["rows"]:
        if row["unexpected"]:
            print(f"NOT EXPECTED of {row['fault']}: {'; '.join(row['unexpected'])}")


def draw(results: dict[str, Any], folder: Path) -> list[str]:  # noqa: ARG001 - every benchmark has this function
    """Draw nothing: the table is enough."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
