"""The first table of the README: what matters to a user, from the results of several measurements."""

from collections.abc import Callable
from typing import Any

import bench_end_to_end
import bench_latency
import harness

Results = dict[str, Any]
Row = tuple[str, str, str]


def voiceprints(results: Results) -> Row:
    def of(contestant: str) -> str:
        found = {
            case["jobs"]: case["per_window"]["median"] for case in results["cases"] if case["contestant"] == contestant
        }
        return ", ".join(f"{found[jobs]:.1f}" for jobs in bench_end_to_end.JOBS)

    allowed, jobs = bench_end_to_end.SUBMISSIONS.limit, " and ".join(bench_end_to_end.JOBS)
    sdk = f"SDK, {bench_end_to_end.THREADS} threads, tenacity"
    return f"voiceprints a minute, of {allowed} allowed; jobs take {jobs}", of("job poller"), f"{of(sdk)}: {sdk}"


def refusals(results: Results) -> Row:
    latency, window = "5 to 50 ms", "sliding"
    found = {
        case["contestant"]: f"{case['refused']['median']:.0f}"
        for case in results["cases"]
        if (case["latency"], case["window"]) == (latency, window)
    }
    others = "; ".join(f"{count}: {name}" for name, count in found.items() if not name.startswith("this client"))
    what = f"requests wasted on 429s, for {results['items']:,} submissions at a latency of {latency}"
    return what, found["this client"], others


def money(results: Results) -> Row:
    totals = results["totals"]
    what = f"jobs paid twice, and jobs lost, in {totals['calls']:,} calls with {len(results['rows'])} faults"
    return what, f"{totals['duplicates']}, {totals['losses']}", ""


def added_latency(results: Results) -> Row:
    def of(contestant: str) -> str:
        found = [results["starts"][start][contestant] for start in bench_latency.STARTS]
        percentiles = [[one[str(percent)]["added"]["median"] for percent in bench_latency.PERCENTILES] for one in found]
        return " / ".join(", ".join(f"{added:.2f}" for added in one) for one in percentiles)

    _, ours, again = bench_latency.CONTESTANTS
    starts = " / ".join(bench_latency.STARTS)
    what = f"ms added at a latency of {bench_latency.LATENCY * 1000:.0f} ms, p50 and p99; 16 begin {starts}"
    return what, of(ours), f"{of(again)}: {again}"


ROWS: dict[str, Callable[[Results], Row]] = {
    "end_to_end": voiceprints,
    "limit": refusals,
    "faults": money,
    "latency": added_latency,
}
"""The rows of the table, by measurement."""


def show(measurements: Results) -> None:
    """Print the rows whose measurements have results."""
    rows = [row(measurements[name]["results"]) for name, row in ROWS.items() if name in measurements]
    harness.table(("", "this client", "others"), rows, words=3)
