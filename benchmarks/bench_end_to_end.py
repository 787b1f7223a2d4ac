"""Measure the time from a URL to its voiceprint: is the rate limit used, and how many requests does waiting cost?

All windows and intervals are 30 times shorter than in reality: the sandbox accepts 100 submissions and 300 reads in 2
seconds. So a window stands for a minute, and a job of 0.1 windows for a job of 6 seconds. The machine's own time is not
shortened, so the results are worse than in reality.

Each contestant creates voiceprints for 28 seconds. The last 16 seconds are measured, because the first long jobs have
ended by then. Jobs that are submitted together end together, so the rate is computed over complete bursts: of the 100
submissions of a window, or of all threads.

- job poller: `voiceprint_many`, which polls all jobs together
- webhooks: `voiceprint_many`, with webhooks
- SDK: the official SDK in 64 threads. Each submits a job and polls it every 10 seconds (in reality), as the SDK does by
  default. The SDK raises an error for each 429; here tenacity repeats the request after `Retry-After`, as careful
  programs do
- SDK as it is: the same without tenacity, for 200 recordings: how many jobs are paid for, and how many are lost

The contestants of the client run concurrently, then those of the SDK, because they are idle most of the time. Each has
its own process and its own sandbox.
"""

import asyncio
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count, product
from pathlib import Path
from typing import Any

import harness
import sandbox_server
from aiohttp import web

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling, RateLimit, RateLimits, aiohttp_webhook_handler

COMPRESSED = 30
WINDOW = 60.0 / COMPRESSED
SUBMISSIONS, READS = RateLimit(100, WINDOW), RateLimit(300, WINDOW)
SERVER_LIMITS = {"rate_limit": (SUBMISSIONS.limit, WINDOW), "read_limit": (READS.limit, WINDOW)}
POLLING = Polling(first=1.0 / COMPRESSED, longest=10.0 / COMPRESSED, webhook_grace=60.0 / COMPRESSED)
SDK_PAUSE = 10.0 / COMPRESSED

JOBS = {"6 s": 0.1 * WINDOW, "4 min": 4 * WINDOW}
COUNTED_FROM, ENDS = 12.0, 28.0
THREADS = 64
SDK_RECORDINGS = 200
FULL_ROUNDS = 3

Contestant = Callable[[str, float, Callable[[], None]], None]


# The contestants create voiceprints until a time on the monotonic clock, and call `finished` for each


def job_poller(base_url: str, deadline: float, finished: Callable[[], None]) -> None:
    asyncio.run(this_client(base_url, deadline, finished, webhooks=False))


def webhooks(base_url: str, deadline: float, finished: Callable[[], None]) -> None:
    asyncio.run(this_client(base_url, deadline, finished, webhooks=True))


async def this_client(base_url: str, deadline: float, finished: Callable[[], None], *, webhooks: bool) -> None:
    limits = RateLimits(submissions=SUBMISSIONS, job_reads=READS, job_lists=READS)
    async with (
        AsyncVoiceprintClient(sandbox_server.KEY, base_url=base_url, rate_limits=limits, polling=POLLING) as client,
        receiver(client) as webhook,
        client.voiceprint_many(harness.urls(1_000_000), webhook=webhook if webhooks else None) as results,
    ):
        async for result in results:
            assert result.error is None, result.error
            finished()
            if time.monotonic() > deadline:
                break


@asynccontextmanager
async def receiver(client: AsyncVoiceprintClient) -> AsyncIterator[str]:
    """Receive webhooks for the client, and yield their URL."""
    app = web.Application()
    app.router.add_post("/", aiohttp_webhook_handler(client.deliver, sandbox_server.SECRET))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def sdk(base_url: str, deadline: float, finished: Callable[[], None]) -> None:
    from tenacity import RetryCallState, retry, retry_if_exception  # noqa: PLC0415 - only the extra `[bench]` installs it

    def is_refusal(error: BaseException) -> bool:
        return getattr(getattr(error, "response", None), "status_code", None) == 429

    def retry_after(state: RetryCallState) -> float:
        return float(state.outcome.exception().response.headers["Retry-After"])  # type: ignore[union-attr]

    patient = retry(retry=retry_if_exception(is_refusal), wait=retry_after)
    client, numbers = sdk_client(base_url), count()
    submit, retrieve = patient(client.voiceprint), patient(client.retrieve)

    def work() -> None:
        while time.monotonic() < deadline:
            retrieve(submit(harness.url(next(numbers))), every_seconds=SDK_PAUSE)
            finished()

    # Daemon threads: those that still wait at the deadline must not keep the process running.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, deadline - time.monotonic()))


def sdk_client(base_url: str) -> Any:
    from pyannoteai.sdk import Client  # noqa: PLC0415 - as above

    warnings.filterwarnings("ignore", message="\nYou are using periodic polling")
    Client.API_URL = f"{base_url}/v1"
    return Client(sandbox_server.KEY)


CONTESTANTS: dict[str, Contestant] = {"job poller": job_poller, "job poller, again": job_poller, "webhooks": webhooks}
RIVALS: dict[str, Contestant] = {"SDK, 64 threads, tenacity": sdk}


# The measurement


def work(contestant: str, base_url: str, span: tuple[float, float]) -> dict[str, Any]:
    """Run a contestant. Return what it finished, and the requests that the server counted, within a span of seconds."""
    moments: list[float] = []
    states: list[dict[str, Any]] = []

    def record_state() -> None:
        states.append(asyncio.run(sandbox_server.fetch_state(base_url)))

    timers = [threading.Timer(seconds, record_state) for seconds in span]
    began = time.monotonic()
    for timer in timers:
        timer.start()
    (CONTESTANTS | RIVALS)[contestant](base_url, began + span[1], lambda: moments.append(time.monotonic() - began))
    for timer in timers:
        timer.join()
    return {
        "moments": [moment for moment in moments if span[0] <= moment < span[1]],
        "lists": states[1]["operations"]["jobs"]["requests"] - states[0]["operations"]["jobs"]["requests"],
        "reads": states[1]["operations"]["job"]["requests"] - states[0]["operations"]["job"]["requests"],
        "refused": states[1]["total"]["rateLimited"],
    }


def run(jobs: str, contestant: str, span: tuple[float, float] = (COUNTED_FROM, ENDS)) -> dict[str, float]:
    """Measure one contestant."""
    with sandbox_server.running(job_seconds=JOBS[jobs], **SERVER_LIMITS) as base_url:
        found = harness.in_fresh_process(work, contestant, base_url, span)
    voiceprints = max(1, len(found["moments"]))
    return {
        "per_window": rate(found["moments"], THREADS if contestant in RIVALS else SUBMISSIONS.limit) * WINDOW,
        "requests": (found["lists"] + found["reads"]) / voiceprints,
        "lists": found["lists"] / voiceprints,
        "reads": found["reads"] / voiceprints,
        "refused": found["refused"],
    }


def rate(moments: list[float], together: int) -> float:
    """Return the results per second, over complete bursts: one burst is an eighth of the span.

    Args:
        moments: when each result arrived, in seconds.
        together: the size of a burst: how many jobs are in progress at once, and so end at once.
    """
    last = (len(moments) - 1) // together * together or len(moments) - 1
    return last / (moments[last] - moments[0]) if last > 0 else 0.0


def sdk_as_it_is(recordings: int) -> dict[str, int]:
    """Count the paid jobs and the voiceprints of the SDK in threads, without retries."""
    with sandbox_server.running(job_seconds=JOBS["6 s"], **SERVER_LIMITS) as base_url:
        succeeded = harness.in_fresh_process(sdk_succeeds, base_url, recordings)
        state = asyncio.run(sandbox_server.fetch_state(base_url))
    refused = state["total"]["rateLimited"]
    return {"recordings": recordings, "paid": state["jobs"], "voiceprints": succeeded, "refused": refused}


def sdk_succeeds(base_url: str, recordings: int) -> int:
    client = sdk_client(base_url)

    def one(url: str) -> bool:
        try:
            client.retrieve(client.voiceprint(url), every_seconds=SDK_PAUSE)
        except Exception:  # noqa: BLE001 - every error means that there is no voiceprint
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(one, harness.urls(recordings)))


def measure(*, full: bool) -> dict[str, Any]:
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for contestants in (CONTESTANTS, RIVALS) * (FULL_ROUNDS if full else 1):
        cases = list(product(JOBS, contestants))
        with ThreadPoolExecutor() as executor:
            for case, one in zip(cases, executor.map(lambda case: run(*case), cases), strict=True):
                found[case].append(one)
    return {
        "cases": [
            {"jobs": jobs, "contestant": contestant}
            | {what: harness.quartiles([one[what] for one in runs]) for what in runs[0]}
            for (jobs, contestant), runs in sorted(found.items(), key=lambda item: list(JOBS).index(item[0][0]))
        ],
        "sdk_as_it_is": sdk_as_it_is(SDK_RECORDINGS),
    }


def show(results: dict[str, Any]) -> None:
    print(f"{SUBMISSIONS.limit} submissions in a window are allowed; the target is 95 voiceprints, with no 429.\n")
    rows = [
        (
            case["jobs"], case["contestant"], harness.span(case["per_window"], 1), harness.span(case["requests"]),
            harness.span(case["lists"]), harness.span(case["reads"]), harness.span(case["refused"], 0),
        )
        for case in results["cases"]
    ]  # fmt: skip
    headings = (
        "jobs take", "contestant", "voiceprints a window", "requests a voiceprint, beyond the submission",
        "of them lists", "and reads", "429s",
    )  # fmt: skip
    harness.table(headings, rows, words=2)
    found = results["sdk_as_it_is"]
    headings = ("", "recordings", "paid for", "voiceprints", "429s")
    name = f"SDK as it is, {THREADS} threads"
    harness.table(headings, [(name, found["recordings"], found["paid"], found["voiceprints"], found["refused"])])


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    names = ["job poller", "webhooks", *RIVALS]
    with harness.figure(folder, "end_to_end.png", columns=2, height=3.6) as (flows, requests):
        for number, name in enumerate(names):
            cases = [case for case in results["cases"] if case["contestant"] == name]
            places = [at + (number - 1) * 0.27 for at in range(len(JOBS))]
            for axes, what in ((flows, "per_window"), (requests, "requests")):
                heights = [case[what]["median"] for case in cases]
                bars = axes.bar(places, heights, width=0.25, color=harness.COLORS[number], label=name)
                axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
        for axes in (flows, requests):
            axes.set_xticks(range(len(JOBS)), [f"jobs of {jobs}" for jobs in JOBS])
            axes.grid(visible=False, axis="x")
            axes.margins(y=0.12)
        flows.axhline(SUBMISSIONS.limit, color=harness.GREY, linestyle="--")
        flows.text(1.27, SUBMISSIONS.limit + 1, "the limit", ha="center", color=harness.GREY, fontsize=9)
        flows.set(title="Voiceprints in a minute of the real scale", ylabel="voiceprints")
        requests.set(title="Requests, beyond the submission", ylabel="requests a voiceprint")
        flows.figure.legend(*flows.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return ["end_to_end.png"]


if __name__ == "__main__":
    harness.main(measure, show, draw)
