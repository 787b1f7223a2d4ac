"""From a URL to its voiceprint: does the whole way keep up with the limit, and what does waiting cost?

All windows and pauses are compressed 30 times: the sandbox takes 100 submissions and 300 reads in 2 seconds, so that a
window here is a minute there, and a job of 0.1 windows takes 6 seconds in real life. What does not shrink is the
machine's own time, so these numbers are worse than those of the real scale.

Each contestant makes voiceprints without end, for 28 seconds. What it finishes and what it asks for in the last 16 of
them is counted: by then the first long jobs are done. What is submitted together ends together, so the rate is taken
over whole bursts: of the limit's hundred, or of all threads.

- watcher: `voiceprint_many`; one task looks for all jobs
- webhooks: the same, and the API tells the client which jobs are done
- SDK: the official one in 64 threads, each of which submits and then polls at the SDK's own pace, every 10 seconds (of
  the real scale). The SDK raises at each 429; here tenacity repeats it after `Retry-After`, as careful people write it
- SDK as it is: the same without tenacity, for 200 recordings. Of those, what was paid for and lost is counted

The contestants of the client go on side by side, and then those of the SDK: they are idle most of their time. Each has
a process and a sandbox of its own.
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
FOR_THE_RECORD = 200
FULL_ROUNDS = 3

Contestant = Callable[[str, float, Callable[[], None]], None]


# The contestants: each works until a moment of the monotonic clock, and says when it has a voiceprint


def watcher(base_url: str, until: float, finished: Callable[[], None]) -> None:
    asyncio.run(this_client(base_url, until, finished, webhooks=False))


def webhooks(base_url: str, until: float, finished: Callable[[], None]) -> None:
    asyncio.run(this_client(base_url, until, finished, webhooks=True))


async def this_client(base_url: str, until: float, finished: Callable[[], None], *, webhooks: bool) -> None:
    limits = RateLimits(submissions=SUBMISSIONS, job_reads=READS, job_lists=READS)
    async with (
        AsyncVoiceprintClient(sandbox_server.KEY, base_url=base_url, rate_limits=limits, polling=POLLING) as client,
        receiver(client) as webhook,
        client.voiceprint_many(harness.urls(1_000_000), webhook=webhook if webhooks else None) as results,
    ):
        async for result in results:
            assert result.error is None, result.error
            finished()
            if time.monotonic() > until:
                break


@asynccontextmanager
async def receiver(client: AsyncVoiceprintClient) -> AsyncIterator[str]:
    """Take webhooks for the client, and give where."""
    app = web.Application()
    app.router.add_post("/", aiohttp_webhook_handler(client.deliver, sandbox_server.SECRET))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def sdk(base_url: str, until: float, finished: Callable[[], None]) -> None:
    from tenacity import RetryCallState, retry, retry_if_exception  # noqa: PLC0415 - only those who compare have it

    def is_refusal(error: BaseException) -> bool:
        return getattr(getattr(error, "response", None), "status_code", None) == 429

    def as_told(state: RetryCallState) -> float:
        return float(state.outcome.exception().response.headers["Retry-After"])  # type: ignore[union-attr]

    patient = retry(retry=retry_if_exception(is_refusal), wait=as_told)
    client, numbers = sdk_client(base_url), count()
    submit, retrieve = patient(client.voiceprint), patient(client.retrieve)

    def work() -> None:
        while time.monotonic() < until:
            retrieve(submit(harness.url(next(numbers))), every_seconds=SDK_PAUSE)
            finished()

    # Whoever still waits when the time is over is left behind.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, until - time.monotonic()))


def sdk_client(base_url: str) -> Any:
    from pyannoteai.sdk import Client  # noqa: PLC0415 - as above

    warnings.filterwarnings("ignore", message="\nYou are using periodic polling")
    Client.API_URL = f"{base_url}/v1"
    return Client(sandbox_server.KEY)


CONTESTANTS: dict[str, Contestant] = {"watcher": watcher, "watcher, again": watcher, "webhooks": webhooks}
RIVALS: dict[str, Contestant] = {"SDK, 64 threads, tenacity": sdk}


# The measurement


def work(contestant: str, base_url: str, span: tuple[float, float]) -> dict[str, Any]:
    """Let a contestant work, and give what it finished, and what the server saw, within a span of its seconds."""
    moments: list[float] = []
    seen: list[dict[str, Any]] = []
    looks = [threading.Timer(at, lambda: seen.append(asyncio.run(sandbox_server.seen_by(base_url)))) for at in span]
    began = time.monotonic()
    for look in looks:
        look.start()
    (CONTESTANTS | RIVALS)[contestant](base_url, began + span[1], lambda: moments.append(time.monotonic() - began))
    for look in looks:
        look.join()
    return {
        "moments": [moment for moment in moments if span[0] <= moment < span[1]],
        "lists": seen[1]["operations"]["jobs"]["requests"] - seen[0]["operations"]["jobs"]["requests"],
        "reads": seen[1]["operations"]["job"]["requests"] - seen[0]["operations"]["job"]["requests"],
        "refused": seen[1]["total"]["rateLimited"],
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
    """Give how many come in a second, over whole bursts: one more or less in the span would be an eighth of the result.

    Args:
        moments: when each came, in seconds.
        together: how many are under way at once, and so come at once.
    """
    last = (len(moments) - 1) // together * together or len(moments) - 1
    return last / (moments[last] - moments[0]) if last > 0 else 0.0


def sdk_as_it_is(recordings: int) -> dict[str, int]:
    """Count what becomes of some recordings that are given to the SDK in threads, as it is."""
    with sandbox_server.running(job_seconds=JOBS["6 s"], **SERVER_LIMITS) as base_url:
        succeeded = harness.in_fresh_process(sdk_succeeds, base_url, recordings)
        seen = asyncio.run(sandbox_server.seen_by(base_url))
    refused = seen["total"]["rateLimited"]
    return {"recordings": recordings, "paid": seen["jobs"], "voiceprints": succeeded, "refused": refused}


def sdk_succeeds(base_url: str, recordings: int) -> int:
    client = sdk_client(base_url)

    def one(url: str) -> bool:
        try:
            client.retrieve(client.voiceprint(url), every_seconds=SDK_PAUSE)
        except Exception:  # noqa: BLE001 - whatever it was, there is no voiceprint
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(one, harness.urls(recordings)))


def measure(*, full: bool) -> dict[str, Any]:
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for contestants in (CONTESTANTS, RIVALS) * (FULL_ROUNDS if full else 1):
        cases = list(product(JOBS, contestants))
        with ThreadPoolExecutor() as side_by_side:
            for case, one in zip(cases, side_by_side.map(lambda case: run(*case), cases), strict=True):
                found[case].append(one)
    return {
        "cases": [
            {"jobs": jobs, "contestant": contestant}
            | {what: harness.quartiles([one[what] for one in runs]) for what in runs[0]}
            for (jobs, contestant), runs in sorted(found.items(), key=lambda item: list(JOBS).index(item[0][0]))
        ],
        "sdk_as_it_is": sdk_as_it_is(FOR_THE_RECORD),
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
    names = ["watcher", "webhooks", *RIVALS]
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
