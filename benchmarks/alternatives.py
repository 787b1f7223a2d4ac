"""The table of the package's README: this client beside the official SDK, and beside code with aiohttp and aiolimiter.

A number comes from results.json. A sentence about the SDK was read in the source of the version `SDK_READ`. An empty
cell is something that was not measured.
"""

from collections.abc import Iterator
from typing import Any

MEASUREMENTS = ("limit", "end_to_end", "throughput")
SDK_READ = "0.4.0"

HEADINGS = ("", "this client", f"official SDK {SDK_READ}, 64 threads", "aiohttp, aiolimiter, tenacity")

READ = (
    ("after a 429", "waits as the API requests", "raises an error", ""),
    ("a response that never arrives", "ends after `Timeouts.total`", "waits without an end", ""),
    ("jobs that are polled", "100 in one request", "one, every 10 s, without an end", ""),
    ("the response to a submission is lost", "an error with `outcome_unknown`", 'an error: "Failed to connect"', ""),
    ("webhooks", "verified; they end waits", "not received", ""),
)


def rows(measurements: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table."""
    limit, flow = measurements["limit"]["results"], measurements["end_to_end"]["results"]
    sliding = [
        [_found(limit, latency=latency, window="sliding", contestant=one) for latency in ("0 ms", "0 to 500 ms")]
        for one in ("this client", "aiolimiter and tenacity")
    ]
    ours, theirs = ("% / ".join(f"{100 * case['share']['median']:.0f}" for case in cases) for cases in sliding)
    yield "share of the limit that is used: without latency / with up to 500 ms", f"{ours}%", "", f"{theirs}%"
    ours, theirs = ("% / ".join(_refused(case) for case in cases) for cases in sliding)
    yield "requests refused with 429, at these two latencies", f"{ours}%", "", f"{theirs}%"
    flows = [
        [_found(flow, jobs=jobs, contestant=one) for jobs in ("6 s", "4 min")]
        for one in ("job poller", "SDK, 64 threads, tenacity")
    ]
    ours, theirs = (" / ".join(f"{case['per_window']['median']:.0f}" for case in cases) for cases in flows)
    yield "voiceprints a minute (100 are allowed), if a job takes 6 s / 4 min", ours, theirs, ""
    ours, theirs = (" / ".join(f"{case['requests']['median']:.1f}" for case in cases) for cases in flows)
    yield "further requests for each voiceprint, with these jobs", ours, theirs, ""
    ways = measurements["throughput"]["results"]["ways"]
    speeds = [ways[way]["64"]["per_second"] for way in ("asyncio", "asyncio, TLS")]
    names = ("this client", "official SDK, 64 threads", "aiohttp, aiolimiter, tenacity")
    yield (
        "submissions a second, 64 at the same time, compared with plain aiohttp: HTTP / TLS",
        *(" / ".join(f"{found[name]['ratio']['median']:.2f}" for found in speeds) for name in names),
    )
    yield from READ


def _found(results: dict[str, Any], **wanted: str) -> dict[str, Any]:
    """Return the case with these properties."""
    (case,) = [case for case in results["cases"] if wanted.items() <= case.items()]
    return case


def _refused(case: dict[str, Any]) -> str:
    return f"{100 * case['refused']['median'] / case['requests']['median']:.0f}"
