"""Memory of `submit_many` over a million items: it has to stay flat, however long the input is.

The input is a generator, the results are consumed as they come, and the server runs in another process and keeps
nothing. The resident memory of this process is read every so many results.
"""

import argparse
import asyncio
import os
import resource
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import attrs
import fast_server

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits

CONCURRENCY = 64
UNLIMITED = RateLimits(submissions=RateLimit(1_000_000_000, 60.0))
# Until then buffers, pools and caches fill up, which is no leak.
WARM_UP = 100_000
MEBIBYTE = 1024 * 1024
STATM = Path("/proc/self/statm")


@attrs.frozen
class Sample:
    """The memory at one moment."""

    items: int
    """Results consumed so far."""
    resident: int
    """Bytes."""
    at: float
    """Seconds of a clock that never goes back."""


def resident_bytes() -> int:
    """Give the resident memory of this process; where there is no /proc, the most it ever was."""
    if STATM.exists():
        return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def urls(items: int) -> Iterator[str]:
    """Give as many different URLs."""
    return (f"https://example.com/voices/{number:07}.wav" for number in range(items))


async def measure(port: int, items: int, every: int) -> list[Sample]:
    """Submit so many items, and take a sample every so many results."""
    samples = [Sample(0, resident_bytes(), time.monotonic())]
    async with (
        AsyncVoiceprintClient(
            "key", base_url=f"http://127.0.0.1:{port}", max_concurrency=CONCURRENCY, rate_limits=UNLIMITED
        ) as client,
        client.submit_many(urls(items)) as submissions,
    ):
        taken = 0
        async for submission in submissions:
            assert submission.job is not None, submission.error
            taken += 1
            if taken % every == 0:
                samples.append(Sample(taken, resident_bytes(), time.monotonic()))
    return samples


def slope(samples: list[Sample]) -> float:
    """Give the bytes an item costs, by least squares over all samples after the warm-up."""
    warm = [sample for sample in samples if sample.items >= WARM_UP] or samples[1:]
    middle_items = sum(sample.items for sample in warm) / len(warm)
    middle_bytes = sum(sample.resident for sample in warm) / len(warm)
    spread = sum((sample.items - middle_items) ** 2 for sample in warm)
    together = sum((sample.items - middle_items) * (sample.resident - middle_bytes) for sample in warm)
    return together / spread if spread else 0.0


def report(samples: list[Sample]) -> None:
    """Print the table, and the slope."""
    print(f"{'items':>12}{'RSS, MiB':>12}{'requests/s':>14}")
    print(f"{samples[0].items:12,}{samples[0].resident / MEBIBYTE:12.1f}{'':>14}")
    for before, after in pairwise(samples):
        rate = (after.items - before.items) / (after.at - before.at)
        print(f"{after.items:12,}{after.resident / MEBIBYTE:12.1f}{rate:14.0f}")
    bytes_an_item = slope(samples)
    print(
        f"slope from {min(WARM_UP, samples[-1].items):,} items to the end: {bytes_an_item:.2f} bytes an item, "
        f"{bytes_an_item * 1_000_000 / MEBIBYTE:.2f} MiB a million"
    )


def main() -> None:
    """Start the server, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=50_000, help="results between two samples")
    options = parser.parse_args()
    with fast_server.running() as port:
        report(asyncio.run(measure(port, options.items, options.every)))


if __name__ == "__main__":
    main()
