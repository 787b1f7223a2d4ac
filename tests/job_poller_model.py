"""A model of the jobs of a team and of its API, as the job poller sees them, in simulated time."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

from fake_clock import START, FakeClock

from pyannote_voiceprint_async import Job, JobStatus, NotFoundError, Polling
from pyannote_voiceprint_async.api.endpoints import POLL_JOBS
from pyannote_voiceprint_async.concurrency.waiters import Waiters
from pyannote_voiceprint_async.jobs.poller import JobPoller
from pyannote_voiceprint_async.models import JobStatusPage, VoiceprintOutput

_ENDS = {
    "succeeded": VoiceprintOutput("voice"),
    "failed": VoiceprintOutput(error="Could not load audio"),
    "failed without a word": None,
    "canceled": None,
    "cancelled": None,
}
ENDS = tuple(_ENDS)


@dataclass(eq=False)
class ModelJob:
    """One job of the team."""

    job_id: str
    created_at: float
    seconds: float
    end: str = "succeeded"
    """One of `ENDS`."""
    vanishes_at: float = float("inf")
    """From this time on, the API does not know the job."""
    output_after: float = 0.0
    """Seconds from the end of the job until the API shows its output."""
    before: str = "running"
    """The status before the end of the job."""

    @property
    def ends_at(self) -> float:
        return self.created_at + self.seconds

    def is_over(self, now: float) -> bool:
        return now >= self.ends_at

    def status(self, now: float) -> JobStatus:
        return JobStatus(self.end.split()[0] if self.is_over(now) else self.before)

    def output(self, now: float) -> VoiceprintOutput | None:
        return _ENDS[self.end] if self.is_complete_at(now) else None

    def is_complete_at(self, now: float) -> bool:
        """Return whether a read shows the final state. Only a voiceprint may appear later than its status."""
        return now >= self.ends_at + (self.output_after if self.end == "succeeded" else 0.0)


@dataclass
class ModelApi:
    """Replaces the pipeline: it has the methods that the poller calls, and records each request.

    Args:
        clock: the source of time, also for latencies.
        latencies: the seconds that each response takes.
        faults: for each request, the error to raise, or None.
        has_pages: whether the API has `GET /v2/jobs`.
        rate_limit: requests a minute of each kind; more requests wait, as they do in the rate limiter.
    """

    clock: FakeClock
    latencies: Iterator[float] = field(default_factory=lambda: repeat(0.0))
    faults: Iterator[Exception | None] = field(default_factory=lambda: repeat(None))
    has_pages: bool = True
    rate_limit: int = 1_000_000
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    lists: list[float] = field(default_factory=list)
    reads: list[tuple[float, str]] = field(default_factory=list)
    useful: Counter[str] = field(default_factory=Counter)
    """How often each job was read after its final state was visible."""
    in_flight: int = 0
    _newest_last: list[ModelJob] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._windows = {
            "lists": SlidingWindow(self.clock, self.rate_limit),
            "reads": SlidingWindow(self.clock, self.rate_limit),
        }

    def add(self, job_id: str, seconds: float, **how: Any) -> ModelJob:
        """Start a job now."""
        job = self.jobs[job_id] = ModelJob(job_id, self.clock.time(), seconds, **how)
        self._newest_last.append(job)
        return job

    def add_foreign(self, number: int) -> None:
        """Start this many jobs of another program of the team, now."""
        for _ in range(number):
            self.add(f"foreign-{len(self._newest_last)}", 1.0)

    # The methods that the poller calls

    def check_usable(self) -> None:
        """Return: the model is never closed."""

    async def send(self, endpoint: object, *, query: Mapping[str, str]) -> JobStatusPage:
        assert endpoint is POLL_JOBS
        return await self._round_trip("lists", self.lists.append, lambda: self._page(**query))

    async def read_job(self, job_id: str) -> Job:
        return await self._round_trip("reads", lambda at: self.reads.append((at, job_id)), lambda: self._read(job_id))

    async def _round_trip(self, kind: str, record: Callable[[float], None], respond: Callable[[], Any]) -> Any:
        await self._windows[kind].take()
        self.in_flight += 1
        record(self.clock.time())
        try:
            latency = next(self.latencies)
            if latency:
                await self.clock.sleep(latency / 2)
            fault = next(self.faults)
            response = None if fault else respond()
            if latency:
                await self.clock.sleep(latency / 2)
            if fault:
                raise fault
            return response
        finally:
            self.in_flight -= 1

    def _page(self, limit: str, cursor: str | None = None) -> JobStatusPage:
        now = self.clock.time()
        if not self.has_pages:
            raise NotFoundError("There are no pages here.", status=404)
        end = len(self._newest_last) if cursor is None else int(cursor)
        start = max(0, end - int(limit))
        jobs = [job for job in self._newest_last[start:end][::-1] if now < job.vanishes_at]
        return JobStatusPage({job.job_id: job.status(now) for job in jobs}, str(start) if start else None)

    def _read(self, job_id: str) -> Job:
        now = self.clock.time()
        job = self.jobs.get(job_id)
        if job is None or now >= job.vanishes_at:
            raise NotFoundError("There is no such job.", status=404)
        self.useful[job_id] += job.is_complete_at(now)
        since = datetime.fromtimestamp(START + (job.ends_at if job.is_over(now) else job.created_at), UTC)
        return Job(job_id, job.status(now), None, since, job.output(now) if job.is_over(now) else None)


class SlidingWindow:
    """A rate-limit window that slides over a minute: first come, first served."""

    def __init__(self, clock: FakeClock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._permits: deque[float] = deque()
        self._wait_queue = asyncio.Lock()

    async def take(self) -> None:
        async with self._wait_queue:
            if len(self._permits) == self._limit:
                await self._clock.sleep(max(0.0, self._permits.popleft() + 60.0 - self._clock.time()))
            self._permits.append(self._clock.time())


class World:
    """A job poller on the model, and a clock that jumps from timer to timer."""

    def __init__(self, clock: FakeClock, **api: Any) -> None:
        self.clock = clock
        self.api = ModelApi(clock, **api)
        self.waiters = Waiters(clock)
        self.poller = JobPoller(self.api, Polling(), clock, self.waiters)

    async def advance(self, until: float) -> None:
        """Advance the clock to this time, from timer to timer."""
        await idle()
        while (due := self.clock.next_at()) is not None and due <= until:
            self.clock.jump(due)
            await idle()
        self.clock.jump(until)
        await idle()

    async def finish(self, *tasks: "asyncio.Task[Any]", within: float = 1e6) -> list[Any]:
        """Advance the clock until these tasks are done, and return their results or exceptions."""
        await idle()
        while not all(task.done() for task in tasks):
            due = self.clock.next_at()
            assert due is not None, "a task waits, but no timer is left to wake it"
            assert due <= within, "the tasks take too long"
            self.clock.jump(due)
            await idle()
        return await asyncio.gather(*tasks, return_exceptions=True)

    def wait(self, job_id: str, timeout: float = 86_400.0, *, has_webhook: bool = False) -> "asyncio.Task[Job]":
        """Start a wait for a job."""
        if has_webhook:
            self.poller.expect_webhook(job_id)
        return asyncio.create_task(self.poller.wait(job_id, self.clock.time() + timeout))

    async def leftovers(self) -> list[str]:
        """Return what is left although no wait is in progress."""
        await idle()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return [
            *map(repr, tasks),
            *([] if self.clock.next_at() is None else [f"a timer at {self.clock.next_at()}"]),
            *(["open futures"] if len(self.waiters) else []),
            *(["polled jobs"] if len(self.poller) else []),
            *(["requests"] if self.api.in_flight else []),
        ]


@asynccontextmanager
async def world(**api: Any) -> AsyncIterator[World]:
    """Yield a world, and check at the end that nothing is left in it."""
    made = World(FakeClock(), **api)
    yield made
    assert await made.leftovers() == []


def most_in_a_minute(times: Iterable[float]) -> int:
    """Return the most requests in any 60 seconds."""
    window: deque[float] = deque()
    most = 0
    for time in sorted(times):
        window.append(time)
        while window[0] <= time - 60.0:
            window.popleft()
        most = max(most, len(window))
    return most


async def idle() -> None:
    """Run the event loop until nothing is ready."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:  # type: ignore[attr-defined]
        await asyncio.sleep(0)


def run(scene: Coroutine[Any, Any, Any]) -> Any:
    """Run a scene in an event loop of its own: hypothesis calls plain functions."""
    return asyncio.run(scene)
