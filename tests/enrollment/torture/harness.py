"""Tortures a run: a sandbox, a program that is killed and started again, a second one that uses the same key."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import attrs
from aiohttp import web
from enrollment.torture.books import Billed, Ledgered, broken_always, broken_by_hold, broken_by_resubmit, digest
from enrollment.torture.cases import Case, Kill
from enrollment.torture.points import SEEN_BY_THE_SANDBOX
from enrollment.torture.proxy import Proxy
from enrollment.torture.runner import Order
from enrollment.torture.scaled_clock import ScaledClock

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits, VoiceprintError
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

# Real seconds after which a program is taken to hang.
_PATIENCE = 90.0
# Runs that must be enough, when none of them is killed.
_MOST_RUNS = 12
# Of the network in a case.
_OUTAGES = 3


@attrs.define
class Outcome:
    """What became of a case."""

    case: Case
    starts: int = 0
    kills: int = 0
    requests: int = 0
    jobs: int = 0
    """Of our rows."""
    duplicates: int = 0
    """Jobs beyond the first one of a row."""
    uncertain: int = 0
    """Rows that `hold` has held."""
    reported: int = 0
    """Submissions that may have been paid twice, as the last report says."""
    seconds: float = 0.0
    killed_at: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
    """With which runs ended."""
    broken: list[str] = attrs.field(factory=list)
    """The promises that were broken."""

    def count(self, kind: str) -> int:
        """How many promises of one kind are broken."""
        return sum(promise.startswith(kind) for promise in self.broken)


@attrs.frozen
class Ended:
    """How one start of the program ended."""

    was_killed: bool
    error: str | None = None
    report: dict[str, Any] | None = None


async def torture(case: Case, folder: Path, *, scale: float) -> Outcome:
    """Do all that a case says.

    A promise is about requests that are under way for at most 95 scaled seconds, and some are accepted 40 late: a
    machine that is so busy that a process stands still for the rest of it wants a small scale.

    Args:
        case: what is done.
        folder: an empty one, for the ledger and the audio.
        scale: scaled seconds in a real one.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        torturer = _Torturer(case, folder, ScaledClock(time.monotonic(), scale))
        await torturer.begin(stack)
        await torturer.run()
        outcome = torturer.outcome
    outcome.seconds = time.monotonic() - began
    return outcome


class _Torturer:
    def __init__(self, case: Case, folder: Path, clock: ScaledClock) -> None:
        self.outcome = Outcome(case)
        self._case = case
        self._clock = clock
        self._ledger = folder / "speakers.ledger"
        self._sources, self._expected, self._label_of = _speakers(case, folder)
        self._random = Random(f"harness {case.seed}")
        self._process: asyncio.subprocess.Process | None = None
        self._kill: Kill | None = None
        self._passed = 0
        self._until_outage = 0
        self._outage = asyncio.Event()
        self._answered: set[str] = set()
        self._has_met = False
        self._told_jobs: set[str] = set()
        self._told_done: set[str] = set()

    async def begin(self, stack: AsyncExitStack) -> None:
        """Start all that the program meets."""
        case = self._case
        self._sandbox = Sandbox(
            window="sliding" if case.trouble.is_limited else "none",
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
        if case.trouble.loses_network:
            proxy = await stack.enter_async_context(Proxy(urlsplit(self._sandbox.url).port or 0))
            await stack.enter_async_context(_meanwhile(self._lose_network(proxy)))
            self._base_url = proxy.url

    async def run(self) -> None:
        """Start the program until it has done its work, kill it on the way, and audit what it leaves."""
        case = self._case
        if case.trouble.fills_disk:
            await self._run_on_full_disk()
        for kill in case.kills:
            await self._start(case.on_unknown, kill=kill)
        if case.on_unknown == "hold":
            ledger = await self._run_until("hold", {"succeeded", "uncertain"})
            self.outcome.uncertain = sum(entry.state == "uncertain" for entry in ledger.rows.values())
            self._audit(ledger, broken_by_hold(ledger, self._billed(), self._expected))
        ledger = await self._run_until("resubmit", {"succeeded"})
        billed = self._billed()
        self._audit(ledger, broken_by_resubmit(ledger, billed, self._expected, self.outcome.reported))
        self.outcome.jobs, self.outcome.duplicates = billed.total, billed.duplicates
        self.outcome.requests = self._sandbox.state.total.requests

    async def _run_until(self, on_unknown: str, states: set[str]) -> Ledgered:
        """Run until all rows are in these states; how many runs that takes is the faults' affair."""
        for _ in range(_MOST_RUNS):
            ended = await self._start(on_unknown)
            if ended.error is not None:
                self._break(f"ended: with {ended.error}")
            ledger = self._read()
            if ended.error or {entry.state for entry in ledger.rows.values()} <= states:
                break
        return ledger

    async def _run_on_full_disk(self) -> None:
        """Run into a full disk: the run has to end by itself."""
        ended = await self._start(self._case.on_unknown, largest_file=self._case.largest_file)
        if ended.was_killed or ended.error not in {None, "LedgerError"}:
            self._break(f"ended: on a full disk with {ended.error}")
        self._read()

    # The program

    async def _start(self, on_unknown: str, *, kill: Kill | None = None, largest_file: int | None = None) -> Ended:
        outside = kill is not None and kill.point in SEEN_BY_THE_SANDBOX
        order = Order(
            began=self._clock.began,
            scale=self._clock.scale,
            base_url=self._base_url,
            api_key=self._sandbox.api_key,
            ledger=str(self._ledger),
            sources=self._sources,
            on_unknown=on_unknown,
            concurrency=self._case.concurrency,
            limited=self._case.trouble.is_limited,
            point=None if kill is None or outside else kill.point,
            nth=0 if kill is None else kill.nth,
            largest_file=largest_file,
        )
        self.outcome.starts += 1
        self._kill, self._passed = (kill if outside else None), 0
        self._answered.clear()
        self._has_met = False
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "enrollment.torture.runner"),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        talk = asyncio.create_task(self._process.communicate(json.dumps(attrs.asdict(order)).encode()))
        if not (await asyncio.wait([talk], timeout=_PATIENCE))[0]:
            self._break(f"ended: not at all in {_PATIENCE:.0f} s")
            self._process.kill()
        out, err = await talk
        ended = self._take_in(out, self._process.returncode, err)
        if ended.was_killed and kill is not None:
            self.outcome.kills += 1
            self.outcome.killed_at.append(kill.point)
        if not ended.was_killed and not self._case.trouble.loses_network:
            self._audit_answers((ended.report or {}).get("unsaved_jobs", {}))
        if ended.error is not None:
            self.outcome.errors.append(ended.error)
        self._process = None
        return ended

    def _take_in(self, out: bytes, code: int | None, err: bytes) -> Ended:
        ended = None
        for line in map(json.loads, out.splitlines()):
            if "submitted" in line:
                self._told_jobs.add(line["job"])
            elif "succeeded" in line:
                self._told_done.add(line["succeeded"])
                if line["voiceprint"] != self._expected[line["succeeded"]]:
                    self._break(f"wrong: row {line['succeeded']} was told a voiceprint that is not of its source")
            else:
                ended = Ended(was_killed=False, error=line["ended"]["error"], report=line["ended"]["report"])
                self.outcome.reported = (ended.report or {}).get("possibly_paid_twice", self.outcome.reported)
        if ended is not None and code == 0:
            return ended
        if code != -9:
            self._break(f"ended: with exit code {code}: {err.decode()[-2000:]}")
            return Ended(was_killed=False, error="a defect")
        return Ended(was_killed=True)

    def _watch_requests(self) -> None:
        handle = self._sandbox._handle

        async def handle_and_kill(request: web.BaseRequest) -> web.StreamResponse:
            self._passed += 1  # since the last start
            mine = self._passed
            self._has_met |= request.path == "/v1/test"
            # What an earlier start has sent may be seen, or answered, only now, when it is dead.
            start = self.outcome.starts if self._has_met else None
            self._kill_at("request", mine)
            self._until_outage -= 1
            if not self._until_outage:
                self._outage.set()
            response = await handle(request)
            self._kill_at("answer", mine)
            if start == self.outcome.starts:
                self._note_answer(request, response)
            return response

        self._sandbox._handle = handle_and_kill  # type: ignore[method-assign]

    def _note_answer(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        if request.path == "/v1/voiceprint" and isinstance(response, web.Response) and response.body:
            with suppress(ValueError):  # the body is cut off
                self._answered.add(json.loads(bytes(response.body)).get("jobId"))

    def _kill_at(self, point: str, passed: int) -> None:
        if self._process is not None and self._kill == Kill(point, passed):
            with suppress(ProcessLookupError):
                self._process.kill()

    # What it meets

    @asynccontextmanager
    async def _stranger(self) -> AsyncIterator[None]:
        """Another program that submits on the same key, now and then."""
        over = asyncio.Event()

        async def submit() -> None:
            limits = RateLimits() if self._case.trouble.is_limited else RateLimits(submissions=RateLimit(10**9))
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
            proxy.go(listens=self._random.random() < 0.5)
            await self._clock.sleep(self._random.uniform(10.0, 240.0))
            await proxy.come_back()

    # The audit

    def _read(self) -> Ledgered:
        ledger = Ledgered.read(self._ledger)
        self._audit(ledger, broken_always(ledger, self._billed(), self._expected))
        return ledger

    def _audit(self, ledger: Ledgered, broken: Iterable[str]) -> None:
        for promise in broken:
            self._break(promise)
        for job_id in self._told_jobs - ledger.ours:
            self._break(f"lost: job {job_id} was told, and is not in the ledger")
        for label in self._told_done:
            if label not in ledger.rows or ledger.rows[label].state != "succeeded":
                self._break(f"lost: row {label} was told to be done, and is not in the ledger")

    def _audit_answers(self, unsaved: Mapping[str, str]) -> None:
        """Make sure that each job whose id has reached the program is in the ledger, or in the report."""
        known = Ledgered.read(self._ledger).ours | unsaved.keys()
        for label, job_ids in self._billed().jobs.items():
            for job_id in self._answered.intersection(job_ids) - known:
                self._break(
                    f"lost: job {job_id} of row {label} was answered, and is neither in the ledger nor reported"
                )

    def _billed(self) -> Billed:
        return Billed.read(self._sandbox.accepted, self._label_of)

    def _break(self, promise: str) -> None:
        if promise not in self.outcome.broken:
            self.outcome.broken.append(promise)


def _speakers(case: Case, folder: Path) -> tuple[list[list[str]], dict[str, str], dict[str, str]]:
    """Make the list: the rows, their voiceprints by label, and the labels by URL or digest."""
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
    """Two seconds of noise, different for each number."""
    samples = Random(number).randbytes(2 * 8000 * 2)
    head = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    rate = (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    return head + rate + b"data" + len(samples).to_bytes(4, "little") + samples


@asynccontextmanager
async def _meanwhile(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
