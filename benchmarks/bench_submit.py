"""Submissions a second at concurrency 64: this client, against bare aiohttp loops that do the same by hand.

The reference is the loop that aiohttp's documentation shows: `json=` to send, `.json()` to parse. Beside it stand
the same loop once more, which shows the noise, and a loop for which all that can be prepared is prepared (the
body as bytes, orjson for the answer), which shows the floor. Slices of all of them alternate in one process, so that
a machine that changes its speed changes it for all. The server runs in another process and answers at once.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
import fast_server
import orjson

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits

URL = "https://example.com/voices/0001.wav"
CONCURRENCY = 64
UNLIMITED = RateLimits(submissions=RateLimit(1_000_000_000, 60.0))


async def run_slice(submit: Callable[[], Awaitable[object]], requests: int) -> float:
    """Give the requests a second of one slice."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await submit()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return requests / (time.perf_counter() - started)


async def measure(port: int, slices: int, requests: int) -> dict[str, list[float]]:
    base = f"http://127.0.0.1:{port}"
    url = f"{base}/v1/voiceprint"
    body = {"url": URL, "model": "precision-2"}
    headers = {"Authorization": "Bearer key"}
    prepared_body = orjson.dumps(body)
    prepared_headers = headers | {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session,
        AsyncVoiceprintClient("key", base_url=base, max_concurrency=CONCURRENCY, rate_limits=UNLIMITED) as client,
    ):

        async def bare() -> object:
            async with session.post(url, json=body, headers=headers) as response:
                return (await response.json())["jobId"]

        async def prepared() -> object:
            async with session.post(url, data=prepared_body, headers=prepared_headers) as response:
                return orjson.loads(await response.read())["jobId"]

        async def ours() -> object:
            return (await client.submit(URL)).job_id

        contestants = {
            "bare aiohttp": bare,
            "this client": ours,
            "bare aiohttp, again": bare,
            "bare aiohttp, prepared": prepared,
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for submit in contestants.values():
            await run_slice(submit, requests)
        for _ in range(slices):
            for name, submit in contestants.items():
                rates[name].append(await run_slice(submit, requests))
    return rates


def report(rates: dict[str, list[float]]) -> None:
    reference = rates["bare aiohttp"]
    print(f"{'':24}{'requests/s':>12}{'of bare aiohttp: median':>26}{'quartiles':>18}")
    for name, values in rates.items():
        ratios = [value / other for value, other in zip(values, reference, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name:24}{statistics.median(values):12.0f}{middle:26.3f}{f'{low:.3f} to {high:.3f}':>18}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=30)
    parser.add_argument("--requests", type=int, default=2000, help="in each slice")
    options = parser.parse_args()
    with fast_server.running() as port:
        report(asyncio.run(measure(port, options.slices, options.requests)))


if __name__ == "__main__":
    main()
