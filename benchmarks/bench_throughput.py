"""Measure submissions per second and their CPU time, and compare other HTTP clients.

- bare aiohttp, as its documentation shows it: `json=` to send, `.json()` to parse. This is the reference.
- bare aiohttp again, which shows the noise; and prepared: with the body as bytes, parsed by orjson.
- aiohttp with a semaphore, aiolimiter and tenacity: hand-written code of a program that must run unattended.
- httpx, and the official SDK, which is synchronous, in 64 threads.
- this client, with its rate limiter, retries, timeouts, and submissions that outlive their callers.

The server runs on the other core, and is not the bottleneck. No rate limit applies: the benchmark measures the machine,
not the limits of the API. Each number of requests in flight and each event loop has a fresh process, in which all
contestants take turns, slice by slice. Most measurements use plain HTTP, which shows the cost of the client best; one
uses TLS, as the API does.
"""

import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import fast_server
import harness
import orjson
import trustme

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits

WAYS = {"asyncio": (1, 16, 64, 256), "uvloop": (1, 16, 64, 256), "asyncio, TLS": (64,)}
"""Event loop and TLS, with the numbers of requests in flight."""
SLICES = 30
SLICE_SECONDS = {False: 0.06, True: 0.4}
"""Seconds of a slice, approximately, by whether the measurement is a full one."""

# asyncio allocates 256 KiB for each `recv`. glibc may return this memory to the system every time, which adds 13 µs of
# page faults to a request in one process and none in the next. These settings keep the memory in the process.
MALLOC_SETTINGS = {
    "MALLOC_TRIM_THRESHOLD_": "536870912",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TOP_PAD_": "16777216",
}

BARE, OURS, SDK = "bare aiohttp", "this client", "official SDK, 64 threads"
TARGET, SDK_TARGET = 0.95, 20

AUDIO = harness.url(1)
BODY = {"url": AUDIO, "model": "precision-2"}
HEADERS = {"Authorization": "Bearer key"}
JSON_HEADERS = HEADERS | {"Content-Type": "application/json"}
PREPARED = orjson.dumps(BODY)

Submit = Callable[[], Awaitable[object]]


# The contestants


@asynccontextmanager
async def this_client(base_url: str, concurrency: int) -> AsyncIterator[Submit]:
    limits = RateLimits(submissions=RateLimit(fast_server.LIMIT))
    async with AsyncVoiceprintClient("key", base_url=base_url, max_concurrency=concurrency, rate_limits=limits) as ours:

        async def submit() -> object:
            return (await ours.submit(AUDIO)).job_id

        yield submit


@asynccontextmanager
async def bare(base_url: str, concurrency: int) -> AsyncIterator[Submit]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def submit() -> object:
            async with session.post(f"{base_url}/v1/voiceprint", json=BODY, headers=HEADERS) as response:
                return (await response.json())["jobId"]

        yield submit


@asynccontextmanager
async def prepared(base_url: str, concurrency: int) -> AsyncIterator[Submit]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def submit() -> object:
            async with session.post(f"{base_url}/v1/voiceprint", data=PREPARED, headers=JSON_HEADERS) as response:
                return orjson.loads(await response.read())["jobId"]

        yield submit


@asynccontextmanager
async def by_hand(base_url: str, concurrency: int) -> AsyncIterator[Submit]:
    from aiolimiter import AsyncLimiter  # noqa: PLC0415 - the tests run without it
    from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential  # noqa: PLC0415

    semaphore, limiter = asyncio.Semaphore(concurrency), AsyncLimiter(fast_server.LIMIT, 60)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        @retry(
            retry=retry_if_exception_type(aiohttp.ClientError),
            wait=wait_random_exponential(max=30),
            stop=stop_after_attempt(5),
        )
        async def submit() -> object:
            async with (
                semaphore,
                limiter,
                session.post(f"{base_url}/v1/voiceprint", json=BODY, headers=HEADERS) as response,
            ):
                response.raise_for_status()
                return (await response.json())["jobId"]

        yield submit


@asynccontextmanager
async def with_httpx(base_url: str, concurrency: int) -> AsyncIterator[Submit]:
    import httpx  # noqa: PLC0415 - the tests run without it

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(base_url=base_url, headers=HEADERS, limits=limits) as client:

        async def submit() -> object:
            return (await client.post("/v1/voiceprint", json=BODY)).json()["jobId"]

        yield submit


CONTESTANTS = {
    BARE: bare,
    OURS: this_client,
    "bare aiohttp, again": bare,
    "bare aiohttp, prepared": prepared,
    "aiohttp, aiolimiter, tenacity": by_hand,
    "httpx": with_httpx,
}


# Measuring


async def cost(submit: Submit, concurrency: int, requests: int) -> dict[str, float]:
    """Make this many submissions, and return their number per second and the CPU time of each."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await submit()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"per_second": requests / wall, "cpu_us": cpu / requests * 1e6}


async def sdk_cost(base_url: str, requests: int) -> dict[str, float]:
    """Measure the same for the official SDK, in 64 threads."""
    from pyannoteai.sdk import Client  # noqa: PLC0415 - no other measurement needs it

    class Local(Client):  # type: ignore[misc]  # it has no types
        API_URL = f"{base_url}/v1"

    client = Local("key")
    with ThreadPoolExecutor(64) as threads:
        submit = asyncio.get_running_loop().run_in_executor
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(submit(threads, client.voiceprint, AUDIO) for _ in range(requests)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"per_second": requests / wall, "cpu_us": cpu / requests * 1e6}


async def take_turns(
    base_url: str, concurrency: int, seconds: float, names: Sequence[str], *, sdk: bool
) -> dict[str, Any]:
    slices: dict[str, list[dict[str, float]]] = {}
    async with AsyncExitStack() as stack:
        submits = {name: await stack.enter_async_context(CONTESTANTS[name](base_url, concurrency)) for name in names}
        rates = {
            name: (await cost(submit, concurrency, 10 * concurrency))["per_second"] for name, submit in submits.items()
        }
        for _, (name, submit) in itertools.product(range(SLICES), submits.items()):
            requests = max(concurrency, int(rates[name] * seconds))
            slices.setdefault(name, []).append(await cost(submit, concurrency, requests))
            rates[name] = statistics.median(one["per_second"] for one in slices[name])
            if sdk and name == BARE:
                slices.setdefault(SDK, []).append(await sdk_cost(base_url, 64))
    return {
        figure: harness.compare({name: [one[figure] for one in found] for name, found in slices.items()}, BARE)
        for figure in ("per_second", "cpu_us")
    }


def cell(
    base_url: str, loop: str, concurrency: int, seconds: float, names: Sequence[str] = tuple(CONTESTANTS)
) -> dict[str, Any]:
    """Run all contestants in turn with one number of requests in flight, on a core of this process alone."""
    harness.stay_on_core(0)
    sdk = loop == "asyncio" and concurrency == 64
    with asyncio.Runner(loop_factory=import_module(loop).new_event_loop) as runner:
        return runner.run(take_turns(base_url, concurrency, seconds, names, sdk=sdk))


@contextmanager
def server(*, tls: bool) -> Iterator[str]:
    """Run the server, and yield its URL. With TLS, processes that start within the block trust its certificate."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = trusted_certificate(Path(folder)) if tls else None
        with fast_server.running(on_core=1, certificate=certificate) as port:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


def trusted_certificate(folder: Path) -> Path:
    authority, certificate = trustme.CA(), folder / "server.pem"
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "ca.pem")
    return certificate


def measure(*, full: bool) -> dict[str, Any]:
    # glibc reads these variables when a process starts: they apply to the processes of the cells, not to this one.
    os.environ.update(MALLOC_SETTINGS)
    ways: dict[str, Any] = {}
    for way, concurrencies in WAYS.items():
        loop, *tls = way.split(", ")
        with server(tls=bool(tls)) as base_url:
            for concurrency in concurrencies:
                harness.progress(f"{way}, {concurrency} in flight")
                ways.setdefault(way, {})[str(concurrency)] = harness.in_fresh_process(
                    cell, base_url, loop, concurrency, SLICE_SECONDS[full]
                )
    return {"server": fast_server.name(), "malloc": MALLOC_SETTINGS, "ways": ways}


# Showing


def show(results: dict[str, Any]) -> None:
    print(f"The server is {results['server']}.\n")
    if "malloc" in results:
        settings = ", ".join(f"{name}={value}" for name, value in results["malloc"].items())
        print(f"Page faults of the allocator are controlled: {settings}.\n")
    for way, cells in results["ways"].items():
        names = [name for name in (*CONTESTANTS, SDK) if any(name in found["cpu_us"] for found in cells.values())]
        print(f"{way}: share of bare aiohttp's requests a second; median of {SLICES} slices (quartiles)\n")
        rows = [(name, *(_ratio(found, name) for found in cells.values())) for name in names]
        harness.table(("in flight", *cells), rows)
        print(f"{way}: requests a second, and CPU microseconds of the client for each; medians\n")
        rows = [(name, *(_absolute(found, name) for found in cells.values())) for name in names]
        harness.table(("in flight", *cells), rows)
    plain, tls = results["ways"]["asyncio"]["64"]["per_second"], results["ways"]["asyncio, TLS"]["64"]["per_second"]
    print(
        f"At 64 in flight this client makes {plain[OURS]['ratio']['median']:.3f} of bare aiohttp's requests "
        f"(target {TARGET}), {_times(plain):.1f} times those of the official SDK in 64 threads, and {_times(tls):.1f} "
        f"times over TLS, as the API is reached (target {SDK_TARGET}).\n"
    )


def _ratio(found: dict[str, Any], name: str) -> str:
    return harness.span(found["per_second"][name]["ratio"], 3) if name in found["per_second"] else ""


def _absolute(found: dict[str, Any], name: str) -> str:
    if name not in found["per_second"]:
        return ""
    return f"{found['per_second'][name]['median']:,.0f} / {found['cpu_us'][name]['median']:,.0f}"


def _times(per_second: dict[str, Any]) -> float:
    times: float = per_second[OURS]["median"] / per_second[SDK]["median"]
    return times


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    name = "throughput.png"
    ways = [way for way, cells in results["ways"].items() if len(cells) > 1]
    with harness.figure(folder, name, columns=len(ways), share_y=True) as all_axes:
        for axes, way in zip(all_axes, ways, strict=True):
            cells = results["ways"][way]
            for at, contestant in enumerate((OURS, BARE, *list(CONTESTANTS)[3:], SDK)):
                found = {x: one["per_second"].get(contestant) for x, one in enumerate(cells.values())}
                found = {x: one for x, one in found.items() if one}
                style = {"color": harness.COLORS[at], "label": contestant}
                axes.plot(list(found), [one["median"] for one in found.values()], marker=harness.MARKERS[at], **style)
                low, high = ([one[edge] for one in found.values()] for edge in ("low", "high"))
                axes.fill_between(list(found), low, high, color=harness.COLORS[at], alpha=0.15, linewidth=0)
            axes.set(
                title=way, xlabel="requests in flight", xticks=range(len(cells)), xticklabels=cells, ylim=(0, None)
            )
        all_axes[0].set_ylabel("submissions a second\n(median and quartiles)")
        handles, names = all_axes[0].get_legend_handles_labels()
        all_axes[0].figure.legend(handles, names, loc="outside lower center", ncols=3)
    return [name]


if __name__ == "__main__":
    harness.main(measure, show, draw)
