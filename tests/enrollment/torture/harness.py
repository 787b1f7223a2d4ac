"""The harness of the torture: a sandbox, a program that is killed and restarted, and a second one with the same key."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from subprocess import PIPE
from typing import Any
from urllib.parse import urlsplit

import attrs
from aiohttp import web
from enrollment.torture.audit import (
    BilledJobs,
    LedgerContents,
    broken_promises,
    broken_promises_of_hold,
    broken_promises_of_resubmit,
    digest,
)
from enrollment.torture.cases import Case, Kill
from enrollment.torture.points import SEEN_BY_THE_SANDBOX
from enrollment.torture.program import ProgramArguments
from enrollment.torture.proxy import Proxy
from enrollment.torture.scaled_clock import ScaledClock
from warm_process import WarmProcess

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits, VoiceprintError
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

# Real seconds after which the program counts as hung. 300 rows, one after the other, take 80 s.
_TIMEOUT = 240.0
# After this many starts without a kill, all rows must be finished.
_MOST_RUNS = 12
# Failures of the network in a case.
_OUTAGES = 3


@attrs.define
class Outcome:
    """The result of a case."""

    case: Case
    starts: int = 0
    kills: int = 0
    requests: int = 0
    jobs: int = 0
    """Billed jobs of our rows."""
    duplicates: int = 0
    """Jobs beyond the first one of a row."""
    uncertain: int = 0
    """Rows that stayed uncertain with `hold`."""
    reported: int = 0
    """Submissions that may have been paid twice according to the last report."""
    seconds: float = 0.0
    killed_at: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
    """The errors that ended runs."""
    broken: list[str] = attrs.field(factory=list)
    """The broken promises."""

    def count(self, kind: str) -> int:
        """Return how many promises of one kind are broken."""
        return sum(promise.startswith(kind) for promise in self.broken)


@attrs.frozen
class Ended:
    """How one start of the program ended."""

    was_killed: bool
    error: str | None = None
    report: dict[str, Any] | None = None


async def torture(case: Case, folder: Path, *, scale: float) -> Outcome:
    """Run a case and return its outcome.

    The promises hold for requests that take at most 95 scaled seconds, of which late acceptance takes up to 40.
    Choose a small scale for a busy machine, where a process may get no CPU time for a while.

    Args:
        case: what happens.
        folder: an empty directory for the ledger and the audio.
        scale: scaled seconds in one real second.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        harness = _Harness(case, folder, ScaledClock(time.monotonic(), scale))
        await harness.start(stack)
        await harness.run()
        outcome = harness.outcome
    outcome.seconds = time.monotonic() - began
    return outcome


class _Harness:
    def __init__(self, case: Case, folder: Path, clock: ScaledClock) -> None:
        self.outcome = Outcome(case)
        self._case = case
        self._clock = clock
        self._ledger = folder / "speakers.ledger"
        self._sources, self._expected, self._label_of = _speakers(case, folder)
        self._random = Random(f"harness {case.seed}")
        self._process: WarmProcess | None = None
        self._kill: Kill | None = None
        self._passed = 0
        self._until_outage = 0
        self._outage = asyncio.Event()
        self._job_ids_sent: set[str] = set()
        self._has_connected = False
        self._reported_jobs: set[str] = set()
        self._reported_labels: set[str] = set()

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the sandbox, the second program and the proxy."""
        case = self._case
        self._sandbox = Sandbox(
            window="sliding" if case.variant_settings.is_limited else "none",
            latency=(0.0, case.latency),
            job_seconds=(0.0, case.job_seconds),
            faults=case.faults,
            seed=case.seed,
            accept_late_seconds=case.late_seconds,
            now=self._clock.wall,
            sleep=self._clock.sleep,
        )
        self._watch_requests()
        await stack.enter_async_context(self._sandbox)
        self._base_url = self._sandbox.url
        await stack.enter_async_context(self._stranger())
        if case.variant_settings.loses_network:
            proxy = await stack.enter_async_context(Proxy(urlsplit(self._sandbox.url).port or 0))
            await stack.enter_async_context(_in_background(self._lose_network(proxy)))
            self._base_url = proxy.url

    async def run(self) -> None:
        """Start and kill the program until its work is done, and audit the ledger after each start."""
        case = self._case
        if case.variant_settings.fills_disk:
            await self._run_on_full_disk()
        for kill in case.kills:
            await self._start(case.on_unknown, kill=kill)
        if case.on_unknown == "hold":
            ledger = await self._run_until("hold", {"succeeded", "uncertain"})
            self.outcome.uncertain = sum(row.state == "uncertain" for row in ledger.rows.values())
            self._audit(ledger, broken_promises_of_hold(ledger, self._billed(), self._expected))
        ledger = await self._run_until("resubmit", {"succeeded"})
        billed = self._billed()
        self._audit(ledger, broken_promises_of_resubmit(ledger, billed, self._expected, self.outcome.reported))
        self.outcome.jobs, self.outcome.duplicates = billed.total, billed.duplicates
        self.outcome.requests = self._sandbox.state.total.requests

    async def _run_until(self, on_unknown: str, states: set[str]) -> LedgerContents:
        """Start the program until all rows are in these states; the faults decide how many starts this takes."""
        for _ in range(_MOST_RUNS):
            ended = await self._start(on_unknown)
            if ended.error is not None:
                self._break(f"ended: with {ended.error}")
            ledger = self._read()
            if ended.error or {row.state for row in ledger.rows.values()} <= states:
                break
        return ledger

    async def _run_on_full_disk(self) -> None:
        """Run with a full disk: the run must end by itself."""
        ended = await self._start(self._case.on_unknown, growth=self._case.growth)
        if ended.was_killed or ended.error not in {None, "LedgerError"}:
            self._break(f"ended: on a full disk with {ended.error}")
        self._read()

    # The program

    async def _start(self, on_unknown: str, *, kill: Kill | None = None, growth: int | None = None) -> Ended:
        outside = kill is not None and kill.point in SEEN_BY_THE_SANDBOX
        arguments = ProgramArguments(
            began=self._clock.began,
            scale=self._clock.scale,
            base_url=self._base_url,
            api_key=self._sandbox.api_key,
            ledger=str(self._ledger),
            sources=self._sources,
            on_unknown=on_unknown,
            concurrency=self._case.concurrency,
            limited=self._case.variant_settings.is_limited,
            point=None if kill is None or outside else kill.point,
            nth=0 if kill is None else kill.nth,
            growth=growth,
        )
        self.outcome.starts += 1
        self._kill, self._passed = (kill if outside else None), 0
        self._job_ids_sent.clear()
        self._has_connected = False
        self._process = await asyncio.to_thread(WarmProcess, "enrollment.torture.program", stdin=PIPE)
        text = json.dumps(attrs.asdict(arguments))
        communication = asyncio.create_task(asyncio.to_thread(self._process.communicate, text))
        if not (await asyncio.wait([communication], timeout=_TIMEOUT))[0]:
            self._break(f"ended: not at all in {_TIMEOUT:.0f} s")
            self._process.kill()
        out, err = await communication
        with self._process as process:
            ended = self._parse_output(out, process.returncode, err)
        if ended.was_killed and kill is not None:
            self.outcome.kills += 1
            self.outcome.killed_at.append(kill.point)
        if not ended.was_killed and not self._case.variant_settings.loses_network:
            self._audit_responses((ended.report or {}).get("unsaved_jobs", {}))
        if ended.error is not None:
            self.outcome.errors.append(ended.error)
        self._process = None
        return ended

    def _parse_output(self, out: str, code: int | None, err: str) -> Ended:
        ended = None
        for line in map(json.loads, out.splitlines()):
            if "submitted" in line:
                self._reported_jobs.add(line["job"])
            elif "succeeded" in line:
                self._reported_labels.add(line["succeeded"])
                if line["voiceprint"] != self._expected[line["succeeded"]]:
                    self._break(f"wrong: row {line['succeeded']} was reported with the voiceprint of another source")
            else:
                ended = Ended(was_killed=False, error=line["ended"]["error"], report=line["ended"]["report"])
                self.outcome.reported = (ended.report or {}).get("possibly_paid_twice", self.outcome.reported)
        if ended is not None and code == 0:
            return ended
        if code != -9:
            self._break(f"ended: with exit code {code}: {err[-2000:]}")
            return Ended(was_killed=False, error="a defect")
        return Ended(was_killed=True)

    def _watch_requests(self) -> None:
        handle = self._sandbox._handle

        async def handle_and_kill(request: web.BaseRequest) -> web.StreamResponse:
            self._passed += 1  # requests since the last start
            number = self._passed
            self._has_connected |= request.path == "/v1/test"
            # A request of an earlier start may arrive, or get its response, only after that start was killed.
            start = self.outcome.starts if self._has_connected else None
            self._kill_at("request", number)
            self._until_outage -= 1
            if not self._until_outage:
                self._outage.set()
            response = await handle(request)
            self._kill_at("answer", number)
            if start == self.outcome.starts:
                self._record_response(request, response)
            return response

        self._sandbox._handle = handle_and_kill  # type: ignore[method-assign]

    def _record_response(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        if request.path == "/v1/voiceprint" and isinstance(response, web.Response) and response.body:
            with suppress(ValueError):  # the body is cut off
                self._job_ids_sent.add(json.loads(bytes(response.body)).get("jobId"))

    def _kill_at(self, point: str, passed: int) -> None:
        if self._process is not None and self._kill == Kill(point, passed):
            self._process.kill()

    # What the program meets

    @asynccontextmanager
    async def _stranger(self) -> AsyncIterator[None]:
        """Run another program that submits with the same key now and then."""
        over = asyncio.Event()

        async def submit() -> None:
            limits = (
                RateLimits() if self._case.variant_settings.is_limited else RateLimits(submissions=RateLimit(10**9))
            )
            random, number = Random(f"stranger {self._case.seed}"), 0
            async with AsyncVoiceprintClient(
                self._sandbox.api_key, base_url=self._sandbox.url, clock=self._clock, rate_limits=limits
            ) as client:
                while not over.is_set():
                    pause = random.expovariate(1 / self._case.stranger_seconds) / self._clock.scale
                    with suppress(TimeoutError):
                        await asyncio.wait_for(over.wait(), pause)
                    number += 1
                    with suppress(VoiceprintError):
                        await client.submit(f"https://stranger.example/{number}.wav")

        task = asyncio.create_task(submit())
        try:
            yield
        finally:
            over.set()
            await task

    async def _lose_network(self, proxy: Proxy) -> None:
        for _ in range(_OUTAGES):
            self._until_outage, self._outage = self._random.randint(1, self._case.rows), asyncio.Event()
            await self._outage.wait()
            proxy.fail(listens=self._random.random() < 0.5)
            await self._clock.sleep(self._random.uniform(10.0, 240.0))
            await proxy.recover()

    # The audit

    def _read(self) -> LedgerContents:
        ledger = LedgerContents.read(self._ledger)
        self._audit(ledger, broken_promises(ledger, self._billed(), self._expected))
        return ledger

    def _audit(self, ledger: LedgerContents, broken: Iterable[str]) -> None:
        for promise in broken:
            self._break(promise)
        for job_id in self._reported_jobs - ledger.own_jobs:
            self._break(f"lost: job {job_id} was reported and is not in the ledger")
        for label in self._reported_labels:
            if label not in ledger.rows or ledger.rows[label].state != "succeeded":
                self._break(f"lost: row {label} was reported as succeeded and is not so in the ledger")

    def _audit_responses(self, unsaved: Mapping[str, str]) -> None:
        """Check that each job whose id was sent to the program is in the ledger or in the report."""
        known = LedgerContents.read(self._ledger).own_jobs | unsaved.keys()
        for label, job_ids in self._billed().jobs.items():
            for job_id in self._job_ids_sent.intersection(job_ids) - known:
                self._break(
                    f"lost: the id of job {job_id} of row {label} was sent, and is neither in the ledger nor reported"
                )

    def _billed(self) -> BilledJobs:
        return BilledJobs.read(self._sandbox.accepted, self._label_of)

    def _break(self, promise: str) -> None:
        if promise not in self.outcome.broken:
            self.outcome.broken.append(promise)


def _speakers(case: Case, folder: Path) -> tuple[list[list[str]], dict[str, str], dict[str, str]]:
    """Return the rows of the list, their voiceprints by label, and the labels by URL or digest."""
    files = set(Random(f"files {case.seed}").sample(range(case.rows), case.files))
    sources, expected, label_of = [], {}, {}
    for number in range(case.rows):
        label = f"speaker-{number:04}"
        if number in files:
            audio, path = _wav(number), folder / f"{label}.wav"
            path.write_bytes(audio)
            sources.append([label, "file", str(path)])
            expected[label], label_of[digest(audio)] = voiceprint_of(audio), label
        else:
            url = f"https://voices.example/{case.seed}/{number}.wav"
            sources.append([label, "url", url])
            expected[label], label_of[url] = voiceprint_of(url), label
    return sources, expected, label_of


def _wav(number: int) -> bytes:
    """Return two seconds of noise, different for each number."""
    samples = Random(number).randbytes(2 * 8000 * 2)
    head = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    rate = (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    return head + rate + b"data" + len(samples).to_bytes(4, "little") + samples


@asynccontextmanager
async def _in_background(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
