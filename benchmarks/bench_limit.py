"""Measure how much of the rate limit is used, and how many requests are refused.

The sandbox accepts 100 submissions in 2 seconds, in a sliding or a fixed window. Its latency is zero, 5 to 50 ms, or 0
to 500 ms; a random part of it passes before the request is processed, so that requests overtake each other. 1,000
recordings are submitted, 64 at a time. The rate is measured between the 100th and the 900th accepted submission. The
share is the rate divided by

    limit / (per + mean latency)

which is the highest rate that cannot cause a 429: the server may count a request at any time until it responds. A
client that risks 429s can exceed it.

- this client: `submit_many`, with the limit as a setting
- aiolimiter and tenacity: `AsyncLimiter(100, 2)` around each request of aiohttp, with a retry around both
- tenacity alone: the same without a limiter
- a perfect client, computed: 100 permits, each of which returns 2 seconds after the response to its request, on a
  machine that needs no time itself. Its share is below 1 if latencies differ: the first hundred are accepted in one
  burst, the later ones are spread over the window, so the measured span begins with an advantage that has ended at its
  end

tenacity repeats each 429 after `Retry-After` until the request is accepted, as careful programs do.

Each run has its own process and its own sandbox. Runs are idle most of the time, so several run concurrently.

The last table measures eight programs that split a limit. Each is a process with 12 of 100 submissions in 6 seconds. It
shows how many of the 96 are accepted in a window if all programs are busy, and how long a submission of one program
with few submissions takes beside seven busy ones.
"""

import asyncio
import heapq
import multiprocessing
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import harness
import sandbox_server

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits

LIMIT, PER = 100, 2.0
ITEMS, FIRST, LAST = 1000, 100, 900
CONCURRENCY = 64
WINDOWS = ("sliding", "fixed")
LATENCIES = {"0 ms": (0.0, 0.0), "5 to 50 ms": (0.005, 0.05), "0 to 500 ms": (0.0, 0.5)}
TARGET = 0.97

AT_ONCE = 8
"""Concurrent runs: all with the same latency. Run alone, this client has the same shares within 0.01."""
ROUNDS, FULL_ROUNDS = 1, 5

PROGRAMS, PART, PART_PER, PART_LATENCY = 8, 12, 6.0, (0.005, 0.05)
BURSTS = 10
LIGHT_PAUSE = 0.75
"""Seconds between two submissions of the program with few submissions: 8 in a window."""
START = 5.0
"""Seconds until all programs have started."""
SPLIT_TARGET, LIGHT_TARGET = 0.93, 1.0


# The contestants call `accepted` for each accepted job


async def this_client(base_url: str, items: int, accepted: Callable[[], None]) -> None:
    limits = RateLimits(submissions=RateLimit(LIMIT, PER))
    async with (
        AsyncVoiceprintClient(
            sandbox_server.KEY, base_url=base_url, rate_limits=limits, max_concurrency=CONCURRENCY
        ) as client,
        client.submit_many(harness.urls(items)) as submissions,
    ):
        async for submission in submissions:
            assert submission.job is not None, submission.error
            accepted()


async def aiolimiter(base_url: str, items: int, accepted: Callable[[], None]) -> None:
    from aiolimiter import AsyncLimiter  # noqa: PLC0415 - only the extra `[bench]` installs it

    await by_hand(base_url, items, accepted, AsyncLimiter(LIMIT, PER))


async def tenacity(base_url: str, items: int, accepted: Callable[[], None]) -> None:
    await by_hand(base_url, items, accepted, nullcontext())


async def by_hand(base_url: str, items: int, accepted: Callable[[], None], limiter: Any) -> None:
    """Submit with hand-written code: a limiter around each request, and a retry around both."""
    from tenacity import RetryCallState, retry, retry_if_exception  # noqa: PLC0415 - as above

    def is_refusal(error: BaseException) -> bool:
        return isinstance(error, aiohttp.ClientResponseError) and error.status == 429

    def retry_after(state: RetryCallState) -> float:
        return float(state.outcome.exception().headers["Retry-After"])  # type: ignore[union-attr]

    headers = {"Authorization": f"Bearer {sandbox_server.KEY}"}
    semaphore = asyncio.Semaphore(CONCURRENCY)
    async with aiohttp.ClientSession(base_url, headers=headers, raise_for_status=True) as session:

        @retry(retry=retry_if_exception(is_refusal), wait=retry_after)
        async def submit(url: str) -> None:
            async with limiter, session.post("/v1/voiceprint", json={"url": url, "model": "precision-2"}) as response:
                await response.json()

        async def one(url: str) -> None:
            async with semaphore:
                await submit(url)
            accepted()

        await asyncio.gather(*map(one, harness.urls(items)))


CONTESTANTS: dict[str, Callable[[str, int, Callable[[], None]], Awaitable[None]]] = {
    "this client": this_client,
    "this client, again": this_client,
    "aiolimiter and tenacity": aiolimiter,
    "tenacity alone": tenacity,
}


PERFECT, RANDOM = "a perfect client, computed", 200


def perfect(latency: tuple[float, float], seed: int) -> float:
    """Return the share of a perfect client, if client and server need no time themselves."""
    return share(rate(perfect_moments(latency, seed, ITEMS, CONCURRENCY)), latency)


def perfect_moments(latency: tuple[float, float], seed: int, items: int, concurrency: int) -> list[float]:
    """Return when each submission of a perfect client is accepted, in order."""
    chance = random.Random(seed)
    responses = [chance.uniform(*latency)]  # the client sends the first request alone
    permits = [responses[0]] * (LIMIT - 1) + [responses[0] + PER]
    heapq.heapify(permits)
    slots = [0.0] * concurrency
    for _ in range(items - 1):
        sent = max(heapq.heappop(permits), heapq.heappop(slots))
        responded = sent + chance.uniform(*latency)
        responses.append(responded)
        heapq.heappush(slots, responded)
        heapq.heappush(permits, responded + PER)
    return sorted(responses)


# The measurement


def rate(moments: list[float]) -> float:
    """Return the accepted submissions per second, without the beginning and the end."""
    first, last = len(moments) * FIRST // ITEMS, len(moments) * LAST // ITEMS
    return (last - first) / (moments[last - 1] - moments[first - 1])


def share(rate: float, latency: tuple[float, float]) -> float:
    return rate / (LIMIT / (PER + sum(latency) / 2))


def accepted_at(contestant: str, base_url: str, items: int) -> list[float]:
    """Run a contestant, and return the seconds at which each submission was accepted."""
    moments: list[float] = []
    asyncio.run(CONTESTANTS[contestant](base_url, items, lambda: moments.append(time.perf_counter())))
    return moments


def run(window: str, latency: tuple[float, float], contestant: str, items: int = ITEMS) -> dict[str, float]:
    """Measure one contestant: its rate and share, and the requests that the server received and refused."""
    with sandbox_server.running(rate_limit=(LIMIT, PER), window=window, latency=latency) as base_url:
        moments = harness.in_fresh_process(accepted_at, contestant, base_url, items)
        counts = asyncio.run(sandbox_server.fetch_state(base_url))["operations"]["voiceprint"]
    return {
        "rate": rate(moments),
        "share": share(rate(moments), latency),
        "requests": counts["requests"],
        "refused": counts["rateLimited"],
    }


# Programs that split a limit


def program(base_url: str, begin: float, items: int, pause: float) -> list[tuple[float, float]]:
    """Submit as one of several programs. Return when each submission was accepted, and after how many seconds."""

    async def main() -> list[tuple[float, float]]:
        limits = RateLimits(submissions=RateLimit(PART, PART_PER))
        async with AsyncVoiceprintClient(sandbox_server.KEY, base_url=base_url, rate_limits=limits) as client:

            async def one(number: int) -> tuple[float, float]:
                due = begin + number * pause
                await asyncio.sleep(due - time.monotonic())
                await client.submit(harness.url(number))
                accepted = time.monotonic()
                return accepted, accepted - due

            return await asyncio.gather(*map(one, range(items)))

    return asyncio.run(main())


def split(window: str, *, light: bool, bursts: int = BURSTS) -> dict[str, Any]:
    """Measure eight programs that split a limit. With `light`, the last one submits little."""
    settings = {"rate_limit": (LIMIT, PART_PER), "window": window, "latency": PART_LATENCY}
    spawn = multiprocessing.get_context("spawn")
    with sandbox_server.running(**settings) as base_url, ProcessPoolExecutor(PROGRAMS, spawn) as pool:
        begin = time.monotonic() + START
        busy = [pool.submit(program, base_url, begin, PART * bursts, 0.0) for _ in range(PROGRAMS - light)]
        calm = [pool.submit(program, base_url, begin, int(PART_PER * bursts / LIGHT_PAUSE), LIGHT_PAUSE)] * light
        moments = sorted(accepted for one in busy for accepted, _ in one.result())
        waits = [wait for one in calm for _, wait in one.result()]
        seen = asyncio.run(sandbox_server.fetch_state(base_url))["operations"]["voiceprint"]
    return {
        "window": window,
        "programs": "seven busy, one light" if light else "eight busy",
        "share": rate(moments) * PART_PER / (PART * len(busy)),
        "light_seconds": statistics.median(waits) if waits else None,
        "refused": seen["rateLimited"],
    }


def measure_split() -> list[dict[str, Any]]:
    return [split(window, light=light) for window in WINDOWS for light in (False, True)]


def measure(*, full: bool) -> dict[str, Any]:
    cases = list(product(LATENCIES, WINDOWS, CONTESTANTS))
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {case: [] for case in cases}
    with ThreadPoolExecutor(AT_ONCE) as executor:
        for _ in range(FULL_ROUNDS if full else ROUNDS):
            runs = executor.map(lambda case: run(case[1], LATENCIES[case[0]], case[2]), cases)
            for case, one in zip(cases, runs, strict=True):
                found[case].append(one)
    return {
        "items": ITEMS,
        "split": measure_split(),
        "perfect": {
            name: harness.quartiles([perfect(latency, seed) for seed in range(RANDOM)])
            for name, latency in LATENCIES.items()
        },
        "cases": [
            {"latency": latency, "window": window, "contestant": contestant}
            | {what: harness.quartiles([one[what] for one in runs]) for what in runs[0]}
            for (latency, window, contestant), runs in found.items()
        ],
    }


def show(results: dict[str, Any]) -> None:
    print(f"{results['items']:,} submissions; 100 in 2 s are allowed. The target is a share of {TARGET} with no 429.\n")
    rows: list[tuple[object, ...]] = []
    for case in results["cases"]:
        refused, requests = case["refused"]["median"], case["requests"]["median"]
        rows.append((
            case["latency"], case["window"], case["contestant"], harness.span(case["rate"], 1),
            harness.span(case["share"], 3), f"{refused:.0f}", f"{refused / requests:.0%}",
        ))  # fmt: skip
    for latency, found in results["perfect"].items():
        rows.append((latency, "either", PERFECT, "", f"{found['median']:.3f}", 0, "0%"))
    headings = ("latency", "window", "contestant", "accepted/s", "share", "429s", "requests wasted")
    harness.table(headings, rows, words=3)
    if split_results := results.get("split"):
        show_split(split_results)


def show_split(results: list[dict[str, Any]]) -> None:
    print(
        f"{PROGRAMS} programs, each with {PART} of the {LIMIT} in {PART_PER:.0f} s. The targets are a share of "
        f"{SPLIT_TARGET} of what the busy ones have, and {LIGHT_TARGET:.0f} s for a submission of the light one.\n"
    )
    rows = []
    for case in results:
        light = "" if case["light_seconds"] is None else f"{case['light_seconds']:.3f}"
        rows.append((case["window"], case["programs"], f"{case['share']:.3f}", light, case["refused"]))
    harness.table(("window", "programs", "share", "light one, median s", "429s"), rows, words=2)


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    scenarios = list(dict.fromkeys((case["latency"], case["window"]) for case in results["cases"]))
    names = [name for name in CONTESTANTS if not name.endswith("again")]
    with harness.figure(folder, "limit.png", columns=2, share_y=True) as (shares, refusals):
        for number, name in enumerate(names):
            cases = {(case["latency"], case["window"]): case for case in results["cases"] if case["contestant"] == name}
            heights = [at + (number - 1) * 0.2 for at in range(len(scenarios))]
            look = {"color": harness.COLORS[number], "label": name}
            values = [cases[scenario]["share"]["median"] for scenario in scenarios]
            shares.plot(values, heights, harness.MARKERS[number], **look)
            refused = [cases[scenario]["refused"]["median"] for scenario in scenarios]
            refusals.barh(heights, refused, height=0.18, **look)
            for height, count in zip(heights, refused, strict=True):
                refusals.text(count + 8, height, f"{count:.0f}", va="center", fontsize=8)
        perfect_shares = [results["perfect"][latency]["median"] for latency, _ in scenarios]
        shares.plot(perfect_shares, range(len(scenarios)), "|", color=harness.GREY, markersize=16, label=PERFECT)
        shares.set(
            title="How much of the limit is used",
            xlabel="1.00 is the most that is sure to draw no 429",
            yticks=range(len(scenarios)),
            yticklabels=[f"latency {latency},\n{window} window" for latency, window in scenarios],
        )
        shares.invert_yaxis()
        refusals.set(title="How many requests are refused", xlabel=f"429s, for {results['items']:,} accepted")
        refusals.margins(x=0.12)
        refusals.grid(visible=False, axis="y")
        shares.figure.legend(*shares.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return ["limit.png"]


if __name__ == "__main__":
    harness.main(measure, show, draw)
