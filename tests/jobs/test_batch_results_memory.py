"""A bulk run costs the same memory however long it is, and reads its input no further than it must."""

import asyncio
import gc
import sys
import tracemalloc
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits

FAST_SERVER = Path(__file__).parents[2] / "benchmarks" / "fast_server.py"
CONCURRENCY = 16
WARM, ALL = 2_000, 8_000
# Far less than the smallest thing that could be kept of each item: a pointer is 8 bytes, an empty object 16.
MOST_GROWTH = 8 * (ALL - WARM)


class Input:
    """URLs, and how far ahead of the results that were taken they were read."""

    def __init__(self, items):
        self.taken = self.furthest_ahead = 0
        self._items = items

    def __iter__(self):
        for number in range(self._items):
            self.furthest_ahead = max(self.furthest_ahead, number + 1 - self.taken)
            yield f"https://example.com/voices/{number:07}.wav"


@asynccontextmanager
async def serving():
    """The benchmarks' server, in a process of its own: only the client's memory is of interest."""
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(sys.executable, str(FAST_SERVER), stdin=pipe, stdout=pipe)
    try:
        yield f"http://127.0.0.1:{int(await server.stdout.readline())}"
    finally:
        await server.communicate(b"")  # the end of its input ends it


@pytest.fixture
async def client(start):
    return await start(
        AsyncVoiceprintClient(
            "key",
            base_url=await start(serving()),
            max_concurrency=CONCURRENCY,
            rate_limits=RateLimits(submissions=RateLimit(1_000_000_000, 60.0)),
        )
    )


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_input(client, traced):
    items, allocated = Input(ALL), {}
    async with client.submit_many(items) as submissions:
        async for submission in submissions:
            assert submission.error is None
            items.taken += 1
            if items.taken in {WARM, ALL}:
                gc.collect()
                allocated[items.taken] = tracemalloc.get_traced_memory()[0]
    assert items.taken == ALL
    assert allocated[ALL] - allocated[WARM] < MOST_GROWTH
    assert items.furthest_ahead <= CONCURRENCY


async def test_a_slow_consumer_holds_the_input_back(client):
    """While nobody takes results, no more is read than may be in flight."""
    items = Input(200)
    async with client.submit_many(items) as submissions:
        async for _ in submissions:
            items.taken += 1
            await asyncio.sleep(0.001)
    assert (items.taken, items.furthest_ahead) == (200, CONCURRENCY)
